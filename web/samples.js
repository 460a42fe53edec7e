// The sample photos, and the models that they suit: a sample belongs to the models with exactly these labels, in any
// order. Another model gets no samples rather than a photo that its classes have no name for. docs/PAGE.md says how to
// add some.

const SAMPLES = [{ labels: ["cat", "dog"], photos: ["chelsea", "coffee", "rocket"] }];

/** The names of the sample photos for a model with these labels: files in samples/, texts in strings.js. */
export function samplesFor(labels) {
  const suits = (sample) => sample.labels.length === labels.length && sample.labels.every((label) => labels.includes(label));
  return SAMPLES.find(suits)?.photos ?? [];
}
