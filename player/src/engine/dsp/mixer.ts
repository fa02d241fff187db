/** The mixer: reads all sources at one position in the song, and adds them up. */

import { Ramp } from './gain'
import { Loudness, matching } from './loudness'
import { CHUNK, run, type Span, turned } from './path'
import { Reel } from './reel'
import { type Heard, Strip } from './strip'

export const QUANTUM = 128 // frames that are mixed at once, at most
const SMOOTH = 0.01 // seconds in which a setting takes effect
const CROSSFADE = 0.03 // seconds from one set of files to another
const READY = 0.3 // seconds of the recording that must be at hand before it is heard

export interface MixerOptions {
  readonly sampleRate: number
  readonly length: number // samples of the song
  readonly stems: number
}

/** Files that belong together, and how each is heard. */
export interface Side {
  readonly reel: Reel
  readonly strips: readonly Strip[]
}

type Pair = readonly [left: Float32Array, right: Float32Array]

interface Piece {
  position: number
  at: number
  frames: number
}

export class Mixer {
  side: Side // what is heard
  next: Side | null = null // what it is to be replaced by
  position = 0 // of the next sample to be mixed
  loop: Span | null = null
  original: Reel | null = null // the recording; without one the original is the sum of the stems as they are
  private mixed = 0 // frames since the start, however position jumped
  private turns: { mixed: number; position: number }[] = [{ mixed: 0, position: 0 }]
  private readonly stemsGain = new Ramp(1)
  private readonly originalGain = new Ramp(0)
  private readonly loudness: { mix: Loudness; original: Loudness }
  private readonly blend = new Ramp(0)
  private readonly other = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)] as const
  private readonly plain = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)] as const // the sum of stems as they are
  private readonly nextPlain = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)] as const
  private originalWanted = false
  private recorded = false // there is a recording to wait for
  private originalHeard = false
  private match = 1 // gain of the original beside stems that are not as they were

  constructor(private readonly options: MixerOptions) {
    const { sampleRate } = options
    this.side = this.sideOf(options.stems)
    this.loudness = { mix: new Loudness(sampleRate), original: new Loudness(sampleRate) }
  }

  get count(): number {
    return this.mixed
  }

  get length(): number {
    return this.options.length
  }

  /** Whether all that is heard is at hand for `frames` from here. */
  covers(frames: number): boolean {
    const { position, loop, length, original } = this
    return (
      this.side.reel.covers(position, frames, loop, length) &&
      (!original || !this.originalSounds || original.covers(position, frames, loop, length)) &&
      (!this.replacing || this.next!.reel.covers(position, frames, loop, length))
    )
  }

  /** Whether the cross-fade to `next` has begun. */
  get replacing(): boolean {
    return this.next !== null && !(this.blend.settled && this.blend.value === 0)
  }

  /** Go over to `next` where it is at hand for `frames`: with a cross-fade, or at once. */
  replace(frames: number, how: 'fade' | 'cut'): void {
    if (this.next && this.replacing && how === 'cut') this.replaced()
    if (!this.next || this.replacing || !this.next.reel.covers(this.position, frames, this.loop, this.length)) return
    if (how === 'fade') this.blend.to(1, this.frames(CROSSFADE))
    else this.replaced()
  }

  /** There will be no `next`. */
  forget(): void {
    this.next = null
    this.blend.to(0, 0)
  }

  jump(position: number): void {
    this.position = position
    this.turns.push({ mixed: this.mixed, position })
    if (this.replacing) this.replaced()
  }

  /** Files to come, of so many stems. */
  sideOf(stems: number): Side {
    return { reel: new Reel(stems), strips: Array.from({ length: stems }, () => new Strip(this.options.sampleRate)) }
  }

  /** How the stems of a side are to be heard, in their order; `at once` where nothing is heard yet. */
  set(side: Side, stems: readonly Heard[], pace: 'smooth' | 'at once'): void {
    stems.forEach((heard, stem) => side.strips[stem]!.set(heard, pace === 'smooth' ? this.frames(SMOOTH) : 0))
    if (side === this.side) this.balanceOriginal(pace)
  }

  /** The original is to be heard instead of the stems, or no longer; `recorded`: not without the recording. */
  setOriginal(on: boolean, recorded: boolean): void {
    this.originalWanted = on
    this.recorded = recorded
  }

  /** The recording comes: its reel. */
  record(): Reel {
    this.original = new Reel(1)
    return this.original
  }

  /**
   * Go over to the original, or back, as soon as it is at hand; as loud as the stems have just been, and as it is where
   * their settings are untouched. The gain stays while the original is heard.
   */
  turnToOriginal(pace: 'smooth' | 'at once'): void {
    if (this.originalWanted === this.originalHeard) return
    const { position, loop, length, original } = this
    if (this.originalWanted && this.recorded && !original?.covers(position, this.frames(READY), loop, length)) return
    if (this.originalWanted) this.match = matching(this.loudness.original.value, this.loudness.mix.value)
    this.originalHeard = this.originalWanted
    this.balanceOriginal(pace)
  }

  /** Mix the next `frames` (at most `QUANTUM`) and go on; after the song's end there is silence. */
  pull(left: Float32Array, right: Float32Array, frames: number): void {
    const pieces = this.steps(frames)
    left.fill(0, 0, frames)
    right.fill(0, 0, frames)
    this.plain.forEach((channel) => channel.fill(0, 0, frames))
    if (this.replacing) this.pullBoth(pieces, [left, right], frames)
    else this.pullSide(this.side, pieces, [left, right], this.plain, frames)
    this.addOriginal(pieces, left, right, frames)
    if (this.next && this.blend.settled && this.blend.value === 1) this.replaced()
  }

  /** The place in the song of a frame that was mixed; at and after `length` it has ended. */
  positionOf(count: number): number {
    while (this.turns.length > 1 && this.turns[1]!.mixed <= count) this.turns.shift()
    return this.turns[0]!.position + count - this.turns[0]!.mixed
  }

  /** Whether anything of the original is in what is heard now. */
  private get originalSounds(): boolean {
    return this.originalHeard || !this.originalGain.settled || this.originalGain.value !== 0
  }

  private balanceOriginal(pace: 'smooth' | 'at once'): void {
    const gain = this.side.strips.every((strip) => strip.plain) ? 1 : this.match
    const frames = pace === 'smooth' ? this.frames(SMOOTH) : 0
    this.stemsGain.to(this.originalHeard ? 0 : 1, frames)
    this.originalGain.to(this.originalHeard ? gain : 0, frames)
  }

  private frames(seconds: number): number {
    return Math.round(seconds * this.options.sampleRate)
  }

  private replaced(): void {
    this.side = this.next!
    this.next = null
    this.blend.to(0, 0)
    this.balanceOriginal('smooth')
  }

  /** Add what a side sounds like to two channels, and its stems as they are to two others. */
  private pullSide(side: Side, pieces: readonly Piece[], heard: Pair, plain: Pair, frames: number): void {
    for (const [stem, strip] of side.strips.entries()) {
      fill(side.reel, stem, pieces, strip.left, strip.right, frames)
      add(plain, strip, frames)
      strip.run(frames)
      add(heard, strip, frames)
    }
  }

  /** The cross-fade from a side to the next. */
  private pullBoth(pieces: readonly Piece[], heard: Pair, frames: number): void {
    const { plain, other, nextPlain } = this
    for (const channel of [...other, ...nextPlain]) channel.fill(0, 0, frames)
    this.pullSide(this.side, pieces, heard, plain, frames)
    this.pullSide(this.next!, pieces, other, nextPlain, frames)
    for (let i = 0; i < frames; i++) {
      const share = this.blend.next()
      for (const side of [0, 1] as const) {
        heard[side][i]! += (other[side][i]! - heard[side][i]!) * share
        plain[side][i]! += (nextPlain[side][i]! - plain[side][i]!) * share
      }
    }
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

  private addOriginal(pieces: readonly Piece[], left: Float32Array, right: Float32Array, frames: number): void {
    const [originalLeft, originalRight] = this.original ? this.other : this.plain
    this.loudness.mix.add(left, right, frames)
    this.loudness.original.add(this.plain[0], this.plain[1], frames)
    this.stemsGain.apply(left, right, frames)
    if (!this.originalSounds) return
    if (this.original) fill(this.original, 0, pieces, originalLeft, originalRight, frames)
    this.originalGain.apply(originalLeft, originalRight, frames)
    for (let i = 0; i < frames; i++) {
      left[i]! += originalLeft[i]!
      right[i]! += originalRight[i]!
    }
  }
}

function add([left, right]: Pair, strip: Strip, frames: number): void {
  for (let i = 0; i < frames; i++) {
    left[i]! += strip.left[i]!
    right[i]! += strip.right[i]!
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
