/** Playback: when to go on, wait, jump and fade. Everything of the audio thread but its messages. */

import { Ramp } from './gain'
import { Limiter } from './limiter'
import { type Level, Meter } from './meter'
import { Mixer, type MixerOptions, type Side } from './mixer'
import type { Span } from './path'
import type { Heard } from './strip'
import { Tempo } from './tempo'

const FADE = 0.005 // seconds; a start or stop without a click
const START = 0.3 // seconds that must be at hand before sound begins

export type Flow = 'stopped' | 'playing' | 'buffering' | 'ended'

/** What the page is told. */
export interface Report {
  readonly seek: number // the last jump that was done
  readonly position: number // of what leaves the deck next, in samples of the song
  readonly rate: number
  readonly flow: Flow
  readonly levels: readonly Level[] // of each stem, then of all
}

export class Deck {
  readonly mixer: Mixer
  readonly tempo: Tempo
  private readonly gate = new Ramp(0)
  private readonly volume = new Ramp(1)
  private readonly limiter: Limiter
  private readonly meter = new Meter()
  private wanted = false
  private flowing = false
  private ended = false
  private pending: { seek: number; position: number } | null = null
  seekDone = 0 // number of the last jump

  constructor(private readonly options: MixerOptions) {
    this.mixer = new Mixer(options)
    this.tempo = new Tempo(this.mixer, options.sampleRate)
    this.limiter = new Limiter(options.sampleRate)
  }

  get flow(): Flow {
    if (this.ended) return 'ended'
    if (!this.wanted) return 'stopped'
    return this.flowing && !this.pending ? 'playing' : 'buffering'
  }

  play(): void {
    this.wanted = true
    this.ended = false
  }

  pause(): void {
    this.wanted = false
  }

  /** Jump to a sample, after a short fade where something is heard. */
  seek(seek: number, position: number): void {
    this.pending = { seek, position }
    this.ended = false
    if (this.silent) this.jump()
  }

  setLoop(loop: Span | null): void {
    this.mixer.loop = loop
  }

  /** How the stems of a side are heard from now on; without one, of what is heard. */
  setStems(stems: readonly Heard[], side: Side = this.mixer.side): void {
    this.mixer.set(side, stems, this.silent || (side !== this.mixer.side && !this.mixer.replacing) ? 'at once' : 'smooth')
  }

  setVolume(gain: number): void {
    this.volume.to(gain, this.silent ? 0 : this.frames(0.01))
  }

  /** Whether settings may take effect at once, because nothing is heard. */
  get silent(): boolean {
    return this.gate.settled && this.gate.value === 0
  }

  /** Go over to the mixer's next side as soon as that can be. */
  replace(): void {
    this.mixer.replace(this.frames(START) + this.tempo.demand(128), this.silent ? 'cut' : 'fade')
  }

  /** The next sound; all of it is written. */
  process(left: Float32Array, right: Float32Array): void {
    const frames = left.length
    if (this.pending && this.silent) this.jump()
    this.mixer.turnToOriginal(this.silent ? 'at once' : 'smooth')
    this.replace()
    const margin = this.frames(this.flowing ? FADE : START)
    const demand = this.tempo.demand(frames)
    this.flowing = this.wanted && this.mixer.covers(demand + margin)
    this.gate.to(this.flowing && !this.pending ? 1 : 0, this.frames(FADE))
    if (!this.silent && !this.mixer.covers(demand)) this.gate.to(0, 0) // never one stem without the others
    if (this.silent) {
      left.fill(0)
      right.fill(0)
    } else {
      this.tempo.render(left, right, frames)
      this.gate.apply(left, right, frames)
      this.stopAtEnd()
    }
    this.volume.apply(left, right, frames)
    this.limiter.run(left, right, frames)
    this.meter.add(left, right, frames)
  }

  /** Where it stands, and the levels since the last report. */
  report(): Report {
    const levels = [...this.mixer.side.strips.map((strip) => strip.meter.take()), this.meter.take()]
    const position = this.ended ? this.mixer.length : this.position
    return { seek: this.seekDone, position, rate: this.tempo.rate, flow: this.flow, levels }
  }

  private get position(): number {
    return Math.max(0, Math.min(this.mixer.length, this.mixer.positionOf(this.tempo.heard)))
  }

  private jump(): void {
    const { seek, position } = this.pending!
    this.pending = null
    this.seekDone = seek
    this.flowing = false
    this.mixer.jump(position)
    this.tempo.reset()
  }

  private stopAtEnd(): void {
    if (this.mixer.positionOf(this.tempo.heard) < this.mixer.length) return
    this.wanted = false
    this.ended = true
  }

  private frames(seconds: number): number {
    return Math.round(seconds * this.options.sampleRate)
  }
}
