/** Second-order filters: designs of R. Bristow-Johnson's "Audio EQ Cookbook", run in double precision. */

/** b0 b1 b2 a1 a2, a0 being 1. */
export type Coefficients = readonly [number, number, number, number, number]

/** A shelf below `hz` (its midpoint), slope 1. */
export function lowShelf(hz: number, db: number, sampleRate: number): Coefficients {
  return shelf(hz, db, sampleRate, 1)
}

/** A shelf above `hz` (its midpoint), slope 1. */
export function highShelf(hz: number, db: number, sampleRate: number): Coefficients {
  return shelf(hz, db, sampleRate, -1)
}

function shelf(hz: number, db: number, sampleRate: number, side: 1 | -1): Coefficients {
  const a = 10 ** (db / 40)
  const w = (2 * Math.PI * Math.min(hz, 0.49 * sampleRate)) / sampleRate
  const cos = side * Math.cos(w)
  const slope = 2 * Math.sqrt(a) * Math.sin(w) * Math.SQRT1_2
  const a0 = a + 1 + (a - 1) * cos + slope
  return [
    (a * (a + 1 - (a - 1) * cos + slope)) / a0,
    (side * 2 * a * (a - 1 - (a + 1) * cos)) / a0,
    (a * (a + 1 - (a - 1) * cos - slope)) / a0,
    (side * -2 * (a - 1 + (a + 1) * cos)) / a0,
    (a + 1 + (a - 1) * cos - slope) / a0,
  ]
}

/** A bell around `hz` of width `q`. */
export function peak(hz: number, db: number, sampleRate: number, q = 0.7): Coefficients {
  const a = 10 ** (db / 40)
  const w = (2 * Math.PI * Math.min(hz, 0.49 * sampleRate)) / sampleRate
  const alpha = Math.sin(w) / (2 * q)
  const a0 = 1 + alpha / a
  return [
    (1 + alpha * a) / a0,
    (-2 * Math.cos(w)) / a0,
    (1 - alpha * a) / a0,
    (-2 * Math.cos(w)) / a0,
    (1 - alpha / a) / a0,
  ]
}

/** One filter of one channel (transposed direct form II). */
export class Biquad {
  private first = 0
  private second = 0

  /** Filter `frames` samples in place. */
  run(samples: Float32Array | Float64Array, [b0, b1, b2, a1, a2]: Coefficients, frames: number): void {
    let { first, second } = this
    for (let i = 0; i < frames; i++) {
      const x = samples[i]!
      const y = b0 * x + first
      first = b1 * x - a1 * y + second
      second = b2 * x - a2 * y
      samples[i] = y
    }
    // A silent stem would otherwise leave numbers too small to be computed quickly.
    this.first = Math.abs(first) < 1e-25 ? 0 : first
    this.second = Math.abs(second) < 1e-25 ? 0 : second
  }

  reset(): void {
    this.first = this.second = 0
  }
}

/** dB that a filter adds at `hz`. */
export function response([b0, b1, b2, a1, a2]: Coefficients, hz: number, sampleRate: number): number {
  const w = (2 * Math.PI * hz) / sampleRate
  const power = (c0: number, c1: number, c2: number) =>
    (c0 + c1 * Math.cos(w) + c2 * Math.cos(2 * w)) ** 2 + (c1 * Math.sin(w) + c2 * Math.sin(2 * w)) ** 2
  return 10 * Math.log10(power(b0, b1, b2) / power(1, a1, a2))
}
