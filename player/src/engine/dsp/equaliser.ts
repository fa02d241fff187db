/** The three bands of a stem: low shelf 250 Hz, bell 1 kHz, high shelf 4 kHz. Not there at all when all are at 0 dB. */

import { Biquad, type Coefficients, highShelf, lowShelf, peak } from './biquad'
import { Ramp } from './gain'

export interface Bands {
  readonly low: number // dB
  readonly mid: number
  readonly high: number
}

const DESIGNS = [
  (db: number, rate: number) => lowShelf(250, db, rate),
  (db: number, rate: number) => peak(1000, db, rate),
  (db: number, rate: number) => highShelf(4000, db, rate),
] as const
const STEP = 32 // frames between two sets of coefficients while a band moves

/** Coefficients of the three bands. */
export function coefficients(bands: Bands, sampleRate: number): Coefficients[] {
  return [bands.low, bands.mid, bands.high].map((db, band) => DESIGNS[band]!(db, sampleRate))
}

/** The equaliser of one stem: both channels, moving to new settings without clicks. */
export class Equaliser {
  private readonly ramps = DESIGNS.map(() => new Ramp(0))
  private readonly left = DESIGNS.map(() => new Biquad())
  private readonly right = DESIGNS.map(() => new Biquad())
  private present: Coefficients[]
  private ringing = 0 // frames that filters at 0 dB still run, so that their memory fades out unheard

  constructor(private readonly sampleRate: number) {
    this.present = coefficients({ low: 0, mid: 0, high: 0 }, sampleRate)
  }

  /** Whether samples pass untouched. */
  get bypassed(): boolean {
    return this.ringing === 0 && this.ramps.every((ramp) => ramp.settled && ramp.value === 0)
  }

  /** Go to these gains within `frames`. */
  set(bands: Bands, frames: number): void {
    const steps = Math.ceil(frames / STEP)
    ;[bands.low, bands.mid, bands.high].forEach((db, band) => this.ramps[band]!.to(db, steps))
    if (steps === 0) this.present = coefficients(bands, this.sampleRate)
  }

  /** Filter in place. */
  run(left: Float32Array, right: Float32Array, frames: number): void {
    if (this.bypassed) return
    for (let from = 0; from < frames; from += STEP) {
      const to = Math.min(from + STEP, frames)
      this.piece(left.subarray(from, to), right.subarray(from, to), to - from)
    }
    const flat = this.ramps.every((ramp) => ramp.settled && ramp.value === 0)
    this.ringing = flat ? Math.max(0, this.ringing - frames) : Math.round(this.sampleRate / 10)
    if (this.bypassed) [...this.left, ...this.right].forEach((filter) => filter.reset())
  }

  private piece(left: Float32Array, right: Float32Array, frames: number): void {
    this.ramps.forEach((ramp, band) => {
      if (!ramp.settled) this.present[band] = DESIGNS[band]!(ramp.next(), this.sampleRate)
      this.left[band]!.run(left, this.present[band]!, frames)
      this.right[band]!.run(right, this.present[band]!, frames)
    })
  }
}
