;; MlasRequantizeOutput of onnxruntime (onnxruntime/core/mlas/lib/quantize.cpp) for uint8 with a scale for each column, the
;; same to the bit. The compiler has put its loop into the function that computes convolutions, which calls this one instead.
;;
;; onnxruntime has it in vector instructions for x86, ARM, POWER and LoongArch; for WebAssembly it takes one number at a time.
(module
  (memory 1)
  (func
    ;; uint8 $output[$rows][$columns] = round((int32 $input[rows][columns] + int32 $bias[columns]) * float $scales[columns])
    ;; + $zero, between 0 and 255. $bias is a null pointer where there is none.
    (param $rows i32) (param $columns i32) (param $input i32) (param $bias i32) (param $scales i32)
    (param $zero i32) (param $output i32)
    (local $column i32) (local $at i32) (local $sum i32) (local $scaled f32)
    (local $least v128) (local $most v128) (local $zeros v128) (local $low v128) (local $high v128)
    (local.set $least (f32x4.splat (f32.convert_i32_s (i32.sub (i32.const 0) (local.get $zero)))))
    (local.set $most (f32x4.splat (f32.convert_i32_s (i32.sub (i32.const 255) (local.get $zero)))))
    (local.set $zeros (i32x4.splat (local.get $zero)))
    (block $done
      (loop $nextRow
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $column (i32.const 0))
        (block $rest
          (loop $nextEight
            (br_if $rest (i32.lt_u (i32.sub (local.get $columns) (local.get $column)) (i32.const 8)))
            (local.set $at (i32.shl (local.get $column) (i32.const 2)))
            (local.set $low (v128.load (local.get $input)))
            (local.set $high (v128.load offset=16 (local.get $input)))
            (if (local.get $bias)
              (then
                (local.set $low
                  (i32x4.add (local.get $low) (v128.load (i32.add (local.get $bias) (local.get $at)))))
                (local.set $high
                  (i32x4.add (local.get $high) (v128.load offset=16 (i32.add (local.get $bias) (local.get $at)))))))
            (local.set $at (i32.add (local.get $scales) (local.get $at)))
            (local.set $low (f32x4.mul (f32x4.convert_i32x4_s (local.get $low)) (v128.load (local.get $at))))
            (local.set $high (f32x4.mul (f32x4.convert_i32x4_s (local.get $high)) (v128.load offset=16 (local.get $at))))
            (local.set $low (f32x4.min (f32x4.max (local.get $low) (local.get $least)) (local.get $most)))
            (local.set $high (f32x4.min (f32x4.max (local.get $high) (local.get $least)) (local.get $most)))
            ;; A float between 2^23 and 2^24 has no bits for fractions: what is added to 1.5 * 2^23 is rounded, and its
            ;; lowest byte is that of the sum.
            (local.set $low (i32x4.add
              (f32x4.add (local.get $low) (v128.const f32x4 12582912 12582912 12582912 12582912))
              (local.get $zeros)))
            (local.set $high (i32x4.add
              (f32x4.add (local.get $high) (v128.const f32x4 12582912 12582912 12582912 12582912))
              (local.get $zeros)))
            (v128.store64_lane 0 (local.get $output)
              (i8x16.shuffle 0 4 8 12 16 20 24 28 0 0 0 0 0 0 0 0 (local.get $low) (local.get $high)))
            (local.set $input (i32.add (local.get $input) (i32.const 32)))
            (local.set $output (i32.add (local.get $output) (i32.const 8)))
            (local.set $column (i32.add (local.get $column) (i32.const 8)))
            (br $nextEight)))
        (block $allColumns
          (loop $nextColumn
            (br_if $allColumns (i32.eq (local.get $column) (local.get $columns)))
            (local.set $at (i32.shl (local.get $column) (i32.const 2)))
            (local.set $sum (i32.load (local.get $input)))
            (if (local.get $bias)
              (then (local.set $sum
                (i32.add (local.get $sum) (i32.load (i32.add (local.get $bias) (local.get $at)))))))
            (local.set $scaled (f32.mul
              (f32.convert_i32_s (local.get $sum))
              (f32.load (i32.add (local.get $scales) (local.get $at)))))
            (local.set $scaled (f32.min
              (f32.max (local.get $scaled) (f32x4.extract_lane 0 (local.get $least)))
              (f32x4.extract_lane 0 (local.get $most))))
            (i32.store8 (local.get $output) (i32.add
              (i32.reinterpret_f32 (f32.add (local.get $scaled) (f32.const 12582912)))
              (local.get $zero)))
            (local.set $input (i32.add (local.get $input) (i32.const 4)))
            (local.set $output (i32.add (local.get $output) (i32.const 1)))
            (local.set $column (i32.add (local.get $column) (i32.const 1)))
            (br $nextColumn)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $nextRow)))))
