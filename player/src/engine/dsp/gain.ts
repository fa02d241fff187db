/** Gains: decibels, the balance law, and ramps that arrive exactly. */

export const SILENT = -60 // dB; at and below it nothing is heard

/** Amplitude of a gain in dB: exactly 1 at 0, exactly 0 from -60 down. */
export function amplitude(db: number): number {
  return db <= SILENT ? 0 : 10 ** (db / 20)
}

/** dBFS of an amplitude; -Infinity for silence. */
export function decibels(value: number): number {
  return 20 * Math.log10(value)
}

/** Stereo balance: the side that is turned away from gets quieter, linearly; at the centre both are exactly 1. */
export function balance(pan: number): [left: number, right: number] {
  return [Math.min(1, 1 - pan), Math.min(1, 1 + pan)]
}

/** A value that moves to its target in a straight line, and then is exactly the target. */
export class Ramp {
  value: number
  private target: number
  private step = 0
  private left = 0

  constructor(value: number) {
    this.value = value
    this.target = value
  }

  get settled(): boolean {
    return this.left === 0
  }

  /** Go to `target` within `frames`; 0 frames: at once. */
  to(target: number, frames: number): void {
    if (target === this.target && (this.settled || frames > 0)) return
    this.target = target
    this.left = frames
    if (frames === 0) this.value = target
    else this.step = (target - this.value) / frames
  }

  /** The next value. */
  next(): number {
    if (this.left > 0) {
      this.left -= 1
      this.value = this.left === 0 ? this.target : this.value + this.step
    }
    return this.value
  }

  /** Multiply `frames` samples by the next values; untouched where it rests at 1. */
  apply(left: Float32Array, right: Float32Array, frames: number): void {
    if (this.settled) {
      scale(left, this.value, frames)
      scale(right, this.value, frames)
      return
    }
    for (let i = 0; i < frames; i++) {
      const gain = this.next()
      left[i]! *= gain
      right[i]! *= gain
    }
  }

  /** Multiply `frames` samples of one channel by the next values. */
  applyTo(channel: Float32Array, frames: number): void {
    if (this.settled) scale(channel, this.value, frames)
    else for (let i = 0; i < frames; i++) channel[i]! *= this.next()
  }
}

function scale(channel: Float32Array, gain: number, frames: number): void {
  if (gain === 1) return
  if (gain === 0) channel.fill(0, 0, frames)
  else for (let i = 0; i < frames; i++) channel[i]! *= gain
}
