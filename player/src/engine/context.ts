/** The output of a song. */

const LATENCY = 0.08 // seconds: mute and solo answer at once, and a busy machine does not make it stutter

/** An audio context of the song's own sample rate, so that the browser resamples nothing before the mixer. */
export function audioContext(sampleRate: number): AudioContext {
  return new AudioContext({ sampleRate, latencyHint: LATENCY })
}
