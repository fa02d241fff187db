/** The mixer: reads all sources at one position in the song, and adds them up. */

import { Ramp } from './gain'
import { Loudness, matching } from './loudness'
import { CHUNK, run, type Span, turned } from './path'
import { Reel } from './reel'
import { type Heard, Strip } from './strip'

export const QUANTUM = 128 // frames that are mixed at once, at most
const SMOOTH = 0.01 // seconds in which a setting takes effect
const CROSSFADE = 0.03 // seconds from one set of files to another

export interface MixerOptions {
  readonly sampleRate: number
  readonly length: number // samples of the song
  readonly stems: number
  readonly original: boolean
}

interface Piece {
  position: number
  at: number
  frames: number
}

export class Mixer {
  readonly strips: Strip[]
  position = 0 // of the next sample to be mixed
  loop: Span | null = null
  reel: Reel
  next: Reel | null = null // what `reel` is to be replaced by
  readonly original: Reel | null
  private mixed = 0 // frames since the start, however position jumped
  private turns: { mixed: number; position: number }[] = [{ mixed: 0, position: 0 }]
  private readonly stemsGain = new Ramp(1)
  private readonly originalGain = new Ramp(0)
  private readonly loudness: { stems: Loudness; original: Loudness } | null
  private readonly blend = new Ramp(0)
  private blends: Float32Array | null = null
  private readonly other = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)] as const
  private originalHeard = false
  private match = 1 // gain of the original beside stems that are not as they were

  constructor(private readonly options: MixerOptions) {
    const { sampleRate } = options
    this.strips = Array.from({ length: options.stems }, () => new Strip(sampleRate))
    this.reel = new Reel(options.stems)
    this.original = options.original ? new Reel(1) : null
    this.loudness = options.original ? { stems: new Loudness(sampleRate), original: new Loudness(sampleRate) } : null
  }

  get count(): number {
    return this.mixed
  }

  get length(): number {
    return this.options.length
  }

  /** Whether all that is heard is at hand for `frames` from here. */
  covers(frames: number): boolean {
    const { position, loop, length, reel, original } = this
    return (
      reel.covers(position, frames, loop, length) &&
      (!original || original.covers(position, frames, loop, length)) &&
      (!this.replacing || this.next!.covers(position, frames, loop, length))
    )
  }

  /** Whether the cross-fade to `next` has begun. */
  get replacing(): boolean {
    return this.next !== null && !(this.blend.settled && this.blend.value === 0)
  }

  /** Go over to `next` where it is at hand for `frames`: with a cross-fade, or at once. */
  replace(frames: number, how: 'fade' | 'cut'): void {
    if (!this.next || this.replacing || !this.next.covers(this.position, frames, this.loop, this.length)) return
    if (how === 'fade') this.blend.to(1, this.frames(CROSSFADE))
    else this.replaced()
  }

  jump(position: number): void {
    this.position = position
    this.turns.push({ mixed: this.mixed, position })
    if (this.replacing) this.replaced()
  }

  /** How the stems are to be heard, in their order; `at once` where nothing is heard yet. */
  set(stems: readonly Heard[], pace: 'smooth' | 'at once'): void {
    stems.forEach((heard, stem) => this.strips[stem]!.set(heard, pace === 'smooth' ? this.frames(SMOOTH) : 0))
    this.balanceOriginal()
  }

  /**
   * The original instead of the stems, as loud as they have just been; as it is where their settings are untouched.
   * The gain stays while the original is heard.
   */
  setOriginal(on: boolean): void {
    if (on && !this.originalHeard && this.loudness) {
      this.match = matching(this.loudness.original.value, this.loudness.stems.value)
    }
    this.originalHeard = on && this.original !== null
    this.balanceOriginal()
  }

  /** Mix the next `frames` (at most `QUANTUM`) and go on; after the song's end there is silence. */
  pull(left: Float32Array, right: Float32Array, frames: number): void {
    const pieces = this.steps(frames)
    left.fill(0, 0, frames)
    right.fill(0, 0, frames)
    this.blends = this.blending(frames)
    for (const [stem, strip] of this.strips.entries()) {
      this.read(stem, pieces, strip, frames)
      strip.run(frames)
      for (let i = 0; i < frames; i++) {
        left[i]! += strip.left[i]!
        right[i]! += strip.right[i]!
      }
    }
    if (this.original) this.addOriginal(this.original, pieces, left, right, frames)
    if (this.next && this.blend.settled && this.blend.value === 1) this.replaced()
  }

  /** The place in the song of a frame that was mixed; at and after `length` it has ended. */
  positionOf(count: number): number {
    while (this.turns.length > 1 && this.turns[1]!.mixed <= count) this.turns.shift()
    return this.turns[0]!.position + count - this.turns[0]!.mixed
  }

  private balanceOriginal(): void {
    const gain = this.strips.every((strip) => strip.plain) ? 1 : this.match
    this.stemsGain.to(this.originalHeard ? 0 : 1, this.frames(SMOOTH))
    this.originalGain.to(this.originalHeard ? gain : 0, this.frames(SMOOTH))
  }

  private frames(seconds: number): number {
    return Math.round(seconds * this.options.sampleRate)
  }

  private replaced(): void {
    this.reel = this.next!
    this.next = null
    this.blend.to(0, 0)
  }

  private blending(frames: number): Float32Array | null {
    if (!this.replacing) return null
    return Float32Array.from({ length: frames }, () => this.blend.next())
  }

  /** Where the next `frames` come from, each piece within one chunk; goes on to their end. */
  private steps(frames: number): Piece[] {
    const pieces: Piece[] = []
    let at = 0
    while (at < frames) {
      const room = CHUNK - (this.position % CHUNK)
      const step = run(this.position, Math.min(frames - at, room), this.loop, this.length)
      if (step === 0) break
      pieces.push({ position: this.position, at, frames: step })
      at += step
      const next = turned(this.position + step, this.loop)
      if (next !== this.position + step) this.turns.push({ mixed: this.mixed + at, position: next })
      this.position = next
    }
    this.mixed += frames
    return pieces
  }

  private read(stem: number, pieces: readonly Piece[], strip: Strip, frames: number): void {
    fill(this.reel, stem, pieces, strip.left, strip.right, frames)
    if (!this.blends || !this.next) return
    const [left, right] = this.other
    fill(this.next, stem, pieces, left, right, frames)
    for (let i = 0; i < frames; i++) {
      strip.left[i]! += (left[i]! - strip.left[i]!) * this.blends[i]!
      strip.right[i]! += (right[i]! - strip.right[i]!) * this.blends[i]!
    }
  }

  private addOriginal(
    reel: Reel,
    pieces: readonly Piece[],
    left: Float32Array,
    right: Float32Array,
    frames: number,
  ): void {
    const [originalLeft, originalRight] = this.other
    fill(reel, 0, pieces, originalLeft, originalRight, frames)
    this.loudness?.stems.add(left, right, frames)
    this.loudness?.original.add(originalLeft, originalRight, frames)
    this.stemsGain.apply(left, right, frames)
    if (this.originalGain.settled && this.originalGain.value === 0) return
    this.originalGain.apply(originalLeft, originalRight, frames)
    for (let i = 0; i < frames; i++) {
      left[i]! += originalLeft[i]!
      right[i]! += originalRight[i]!
    }
  }
}

function fill(
  reel: Reel,
  source: number,
  pieces: readonly Piece[],
  left: Float32Array,
  right: Float32Array,
  frames: number,
): void {
  let filled = 0
  for (const piece of pieces) {
    reel.read(source, piece.position, piece.frames, left, right, piece.at)
    filled = piece.at + piece.frames
  }
  left.fill(0, filled, frames)
  right.fill(0, filled, frames)
}
