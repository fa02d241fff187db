/** One stem's way through the mixer: equaliser, gain and balance, meter. */

import { type Bands, Equaliser } from './equaliser'
import { amplitude, balance, Ramp } from './gain'
import { Meter } from './meter'

/** How a stem is to be heard now: mute and solo are worked out already. */
export interface Heard {
  readonly gain: number // dB
  readonly pan: number
  readonly eq: Bands
}

export class Strip {
  readonly left = new Float32Array(128)
  readonly right = new Float32Array(128)
  readonly meter = new Meter()
  plain = true // samples pass untouched, once what moves has settled
  private readonly equaliser: Equaliser
  private readonly leftGain = new Ramp(1)
  private readonly rightGain = new Ramp(1)

  constructor(sampleRate: number) {
    this.equaliser = new Equaliser(sampleRate)
  }

  set(heard: Heard, frames: number): void {
    const { low, mid, high } = heard.eq
    this.plain = [heard.gain, heard.pan, low, mid, high].every((setting) => setting === 0)
    const gain = amplitude(heard.gain)
    const [left, right] = balance(heard.pan)
    this.leftGain.to(gain * left, frames)
    this.rightGain.to(gain * right, frames)
    this.equaliser.set(heard.eq, frames)
  }

  /** Work on what lies in `left` and `right`. */
  run(frames: number): void {
    this.equaliser.run(this.left, this.right, frames)
    this.leftGain.applyTo(this.left, frames)
    this.rightGain.applyTo(this.right, frames)
    this.meter.add(this.left, this.right, frames)
  }
}
