;; MlasConvDepthwiseKernel<uint8_t, int8_t> of onnxruntime (onnxruntime/core/mlas/lib/qdwconv.cpp), the same to the bit.
;;
;; onnxruntime has it in vector instructions for x86 and ARM; for WebAssembly it takes one channel at a time.
(module
  (memory 1)
  (func
    ;; int32 $output[$outputs][$channels] = sums over $taps of ($inputs[outputs][taps][channels] - $inputZero) *
    ;; ($filter[taps][channels] - $filterZero), where $inputs are pointers, one for each output and tap.
    (param $inputs i32) (param $inputZero i32) (param $filter i32) (param $filterZero i32)
    (param $output i32) (param $channels i32) (param $outputs i32) (param $taps i32)
    (local $channel i32) (local $pointer i32) (local $lastPointer i32) (local $weights i32)
    (local $zero v128) (local $weightZero v128) (local $x v128) (local $w v128) (local $low v128) (local $high v128)
    (local $sum i32)
    (local.set $zero (i16x8.splat (local.get $inputZero)))
    (local.set $weightZero (i16x8.splat (local.get $filterZero)))
    (block $done
      (loop $nextOutput
        (br_if $done (i32.eqz (local.get $outputs)))
        (local.set $lastPointer (i32.add (local.get $inputs) (i32.shl (local.get $taps) (i32.const 2))))
        (local.set $channel (i32.const 0))
        (block $rest
          (loop $nextEight
            (br_if $rest (i32.lt_u (i32.sub (local.get $channels) (local.get $channel)) (i32.const 8)))
            (local.set $low (v128.const i32x4 0 0 0 0))
            (local.set $high (v128.const i32x4 0 0 0 0))
            (local.set $weights (i32.add (local.get $filter) (local.get $channel)))
            (local.set $pointer (local.get $inputs))
            (block $summed
              (loop $nextTap
                (br_if $summed (i32.eq (local.get $pointer) (local.get $lastPointer)))
                (local.set $x (i16x8.sub
                  (v128.load8x8_u (i32.add (i32.load (local.get $pointer)) (local.get $channel)))
                  (local.get $zero)))
                (local.set $w (i16x8.sub (v128.load8x8_s (local.get $weights)) (local.get $weightZero)))
                (local.set $low (i32x4.add (local.get $low) (i32x4.extmul_low_i16x8_s (local.get $x) (local.get $w))))
                (local.set $high (i32x4.add (local.get $high) (i32x4.extmul_high_i16x8_s (local.get $x) (local.get $w))))
                (local.set $weights (i32.add (local.get $weights) (local.get $channels)))
                (local.set $pointer (i32.add (local.get $pointer) (i32.const 4)))
                (br $nextTap)))
            (v128.store (local.get $output) (local.get $low))
            (v128.store offset=16 (local.get $output) (local.get $high))
            (local.set $output (i32.add (local.get $output) (i32.const 32)))
            (local.set $channel (i32.add (local.get $channel) (i32.const 8)))
            (br $nextEight)))
        (block $allChannels
          (loop $nextChannel
            (br_if $allChannels (i32.eq (local.get $channel) (local.get $channels)))
            (local.set $sum (i32.const 0))
            (local.set $weights (i32.add (local.get $filter) (local.get $channel)))
            (local.set $pointer (local.get $inputs))
            (block $summed
              (loop $nextTap
                (br_if $summed (i32.eq (local.get $pointer) (local.get $lastPointer)))
                (local.set $sum (i32.add (local.get $sum) (i32.mul
                  (i32.sub
                    (i32.load8_u (i32.add (i32.load (local.get $pointer)) (local.get $channel)))
                    (local.get $inputZero))
                  (i32.sub (i32.load8_s (local.get $weights)) (local.get $filterZero)))))
                (local.set $weights (i32.add (local.get $weights) (local.get $channels)))
                (local.set $pointer (i32.add (local.get $pointer) (i32.const 4)))
                (br $nextTap)))
            (i32.store (local.get $output) (local.get $sum))
            (local.set $output (i32.add (local.get $output) (i32.const 4)))
            (local.set $channel (i32.add (local.get $channel) (i32.const 1)))
            (br $nextChannel)))
        (local.set $inputs (local.get $lastPointer))
        (local.set $outputs (i32.sub (local.get $outputs) (i32.const 1)))
        (br $nextOutput)))))
