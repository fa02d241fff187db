/** Between the mixer and what is heard: nothing at all at speed 1 and pitch 0, else the stretcher. */

import { Ramp } from './gain'
import { QUANTUM } from './mixer'
import type { Stretch } from './stretch'

const CROSSFADE = 0.02 // seconds between plain and stretched
const KEPT = 0.6 // seconds of the mix that are kept: more than the stretcher's lag at the highest speed
export const FASTEST = 1.5

/** What gives the mix, frame after frame. */
export interface Mix {
  readonly count: number
  pull(left: Float32Array, right: Float32Array, frames: number): void
}

type Pair = readonly [Float32Array, Float32Array]

const pair = (frames: number): Pair => [new Float32Array(frames), new Float32Array(frames)]

export class Tempo {
  private speed = 1
  private pitch = 0
  private stretch: Stretch | null = null
  private stretching = false
  private applied = 1 // the speed that the stretcher now has
  private plain = 0 // the next frame to be heard unstretched, counted as the mix counts
  private fed = 0 // the next frame for the stretcher
  private carry = 0 // part of a frame
  private fresh = true // nothing was heard since the last jump
  private readonly fade = new Ramp(0) // 1: stretched
  private readonly fadeFrames: number
  private readonly ring: Pair
  private readonly mixed = pair(QUANTUM)
  private readonly other = pair(QUANTUM)
  private input = pair(0)

  constructor(
    private readonly mix: Mix,
    sampleRate: number,
  ) {
    this.fadeFrames = Math.round(CROSSFADE * sampleRate)
    this.ring = pair(Math.ceil(KEPT * sampleRate))
  }

  /** Speed, and semitones; both take effect as soon as there is a stretcher. */
  set(speed: number, pitch: number): void {
    this.speed = speed
    this.pitch = pitch
    this.stretch?.setPitch(pitch)
  }

  setStretch(stretch: Stretch): void {
    this.stretch = stretch
    this.input = pair(stretch.history)
    stretch.setPitch(this.pitch)
  }

  /** Song frames a second over output frames a second, as it is heard now. */
  get rate(): number {
    return this.stretching ? this.applied : 1
  }

  /** The frame of the mix that is heard next. */
  get heard(): number {
    return this.stretching && this.stretch ? this.fed - this.stretch.lag(this.applied) : this.plain
  }

  /** How many more frames of the mix the next `frames` of sound may ask for. */
  demand(frames: number): number {
    if (!this.stretch || !(this.wanted || this.stretching || !this.fade.settled)) return frames
    return this.stretch.lag(FASTEST) + this.fadeFrames + Math.ceil(2 * FASTEST * frames)
  }

  /** Forget what was mixed, after a jump. */
  reset(): void {
    this.plain = this.mix.count
    this.ring.forEach((channel) => channel.fill(0))
    this.stretching = false
    this.fresh = true
    this.fade.to(0, 0)
  }

  /** The next `frames` (at most `QUANTUM`) of sound. */
  render(left: Float32Array, right: Float32Array, frames: number): void {
    if (this.fade.settled && this.wanted !== this.stretching) this.turn()
    this.fresh = false
    if (this.fade.settled) {
      if (this.stretching) this.renderStretched([left, right], frames)
      else this.renderPlain([left, right], frames)
      return
    }
    this.renderPlain([left, right], frames)
    this.renderStretched(this.other, frames)
    for (let i = 0; i < frames; i++) {
      const share = this.fade.next()
      left[i]! += (this.other[0][i]! - left[i]!) * share
      right[i]! += (this.other[1][i]! - right[i]!) * share
    }
  }

  private get wanted(): boolean {
    return this.stretch !== null && (this.speed !== 1 || this.pitch !== 0)
  }

  private turn(): void {
    if (this.stretching) {
      this.plain = this.heard
      this.stretching = false
    } else this.enter()
    this.fade.to(this.stretching ? 1 : 0, this.fresh ? 0 : this.fadeFrames)
  }

  /** Fill the stretcher so that what comes out of it next is the frame that would have been heard next. */
  private enter(): void {
    const stretch = this.stretch!
    this.applied = this.speed
    this.fed = this.plain + stretch.inputLatency
    this.copy(this.fed - stretch.history, this.input, stretch.history)
    stretch.prime(...this.input, this.applied)
    this.stretching = true
    this.carry = 0
    for (let left = stretch.outputLatency; left > 0; left -= QUANTUM) {
      this.renderStretched(this.other, Math.min(left, QUANTUM))
    }
    this.fed = this.plain + stretch.lag(this.applied) // what rounding left
    this.carry = 0
  }

  private renderStretched(output: Pair, frames: number): void {
    if (this.stretching) this.applied = this.speed
    const taken = Math.floor(this.carry + frames * this.applied)
    this.carry += frames * this.applied - taken
    this.copy(this.fed, this.input, taken)
    this.fed += taken
    this.stretch!.run(this.input, taken, output, frames)
  }

  private renderPlain(output: Pair, frames: number): void {
    this.copy(this.plain, output, frames)
    this.plain += frames
  }

  /** Copy frames of the mix from `from` on; those that are not mixed yet are, those before all are silence. */
  private copy(from: number, to: Pair, frames: number): void {
    while (this.mix.count < from + frames) this.more(Math.min(QUANTUM, from + frames - this.mix.count))
    const size = this.ring[0].length
    for (let i = 0; i < frames; i++) {
      const slot = (((from + i) % size) + size) % size
      to[0][i] = this.ring[0][slot]!
      to[1][i] = this.ring[1][slot]!
    }
  }

  private more(frames: number): void {
    const size = this.ring[0].length
    const start = this.mix.count
    this.mix.pull(...this.mixed, frames)
    for (let i = 0; i < frames; i++) {
      this.ring[0][(start + i) % size] = this.mixed[0][i]!
      this.ring[1][(start + i) % size] = this.mixed[1][i]!
    }
  }
}
