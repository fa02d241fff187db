/** How loud the last seconds were: K-weighted mean square (ITU-R BS.1770-4), for A/B at equal loudness. */

import { Biquad, type Coefficients } from './biquad'

const SECONDS = 3 // as "short-term" loudness; exponential here
const ENOUGH = 0.4 // seconds, one block of BS.1770
const MOST = 4 // 12 dB either way

/** The two filters of BS.1770 at any sample rate (analogue prototypes of the 48 kHz tables, after B. De Man). */
export function kWeighting(sampleRate: number): [Coefficients, Coefficients] {
  const shelf = Math.tan((Math.PI * 1681.9744509555319) / sampleRate)
  const high = 10 ** (3.99984385397 / 20)
  const band = high ** 0.499666774155
  const q = 0.7071752369554193
  const a0 = 1 + shelf / q + shelf * shelf
  const pass = Math.tan((Math.PI * 38.13547087602444) / sampleRate)
  const passQ = 0.5003270373238773
  const p0 = 1 + pass / passQ + pass * pass
  return [
    [
      (high + (band * shelf) / q + shelf * shelf) / a0,
      (2 * (shelf * shelf - high)) / a0,
      (high - (band * shelf) / q + shelf * shelf) / a0,
      (2 * (shelf * shelf - 1)) / a0,
      (1 - shelf / q + shelf * shelf) / a0,
    ],
    [1, -2, 1, (2 * (pass * pass - 1)) / p0, (1 - pass / passQ + pass * pass) / p0],
  ]
}

/** A running K-weighted mean square of two channels. */
export class Loudness {
  private readonly filters = [0, 1].map(() => [new Biquad(), new Biquad()] as const)
  private readonly weighting: [Coefficients, Coefficients]
  private readonly scratch = new Float64Array(128)
  private mean = 0
  private weight = 0

  constructor(private readonly sampleRate: number) {
    this.weighting = kWeighting(sampleRate)
  }

  /** Measure `frames` (at most 128) samples; they stay as they are. */
  add(left: Float32Array, right: Float32Array, frames: number): void {
    const kept = Math.exp(-frames / (SECONDS * this.sampleRate))
    let squares = 0
    for (const [channel, samples] of [left, right].entries()) {
      for (let i = 0; i < frames; i++) this.scratch[i] = samples[i]!
      this.weighting.forEach((stage, at) => this.filters[channel]![at]!.run(this.scratch, stage, frames))
      for (let i = 0; i < frames; i++) squares += this.scratch[i]! ** 2
    }
    this.mean = kept * this.mean + (1 - kept) * (squares / frames)
    this.weight = kept * this.weight + (1 - kept)
  }

  /** The mean square, or null while too little was heard. */
  get value(): number | null {
    return this.weight < 1 - Math.exp(-ENOUGH / SECONDS) ? null : this.mean / this.weight
  }
}

/** The gain that makes `from` as loud as `to`; within 12 dB, and 1 where either says nothing. */
export function matching(from: number | null, to: number | null): number {
  if (!from || to === null) return 1
  return Math.max(1 / MOST, Math.min(MOST, Math.sqrt(to / from)))
}
