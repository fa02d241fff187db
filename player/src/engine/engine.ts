/** The engine as the page sees it: settings go to the audio thread, files to the worker, states to subscribers. */

import { Clock } from './clock'
import { amplitude, decibels } from './dsp/gain'
import { limiterLatency } from './dsp/limiter'
import { joined, type Level } from './dsp/meter'
import { loopOf } from './dsp/path'
import { Links } from './links'
import { type DeckEvent, type FeederEvent, ORIGINAL } from './messages'
import { changed, heardStems, initial, PITCH, SPEED, VOLUME, within } from './settings'
import { loadStretchCode } from './stretchCode'
import { ClosedError, type Engine, type EngineState, type OpenOptions, PLAIN, type Region, type StemSettings, type StemSource } from './types'

const PATIENCE = 0.2 // seconds of waiting for samples that are not worth a word
const IDLE = 3000 // ms of pause after which the audio device is let go

/** Stems that belong together, and the reel of their files. */
interface Side {
  readonly reel: number
  readonly names: readonly string[]
}
type Waiting = { resolve: () => void; reject: (reason: Error) => void }

export class StreamEngine implements Engine {
  readonly duration: number
  state: EngineState
  private readonly listeners = new Set<() => void>()
  private readonly clock: Clock
  private readonly opening = new Map<number, Waiting>() // reels that are on their way
  private measured: Level[] = []
  private fresh = false // levels since they were last read
  private wanted = false
  private filled = false
  private waitingSince: number | null = null
  private seeks = 0
  private side: Side // that is heard
  private next: Side | null = null // that is to be heard
  private reels = 1
  private replacing: Promise<void> = Promise.resolve()
  private recording: Promise<void> | null = null // the opening of the original
  private recorded = false // it is open
  private original: StemSource | null
  private closed = false
  private stretchable = false // the stretcher's code was sent for
  private idle: ReturnType<typeof setTimeout> | undefined

  private constructor(
    private readonly links: Links,
    private readonly options: OpenOptions,
  ) {
    this.side = { reel: 1, names: options.stems.map((stem) => stem.name) }
    this.original = options.original
    this.duration = options.samples / options.sampleRate
    this.state = initial(this.names)
    this.clock = new Clock({ sampleRate: options.sampleRate, length: options.samples })
    this.clock.jump(0, 0)
    links.onDeck = (event) => this.hear(event)
    links.onFeeder = (event) => this.fed(event)
  }

  /** Open the stems of a song on a context of its sample rate; fails where one of them cannot be opened. */
  static async on(context: BaseAudioContext, options: OpenOptions): Promise<StreamEngine> {
    const engine = new StreamEngine(await Links.to(context, options), options)
    try {
      await engine.opened(engine.side.reel, options.stems)
    } catch (error) {
      engine.close()
      throw error
    }
    return engine
  }

  /** What the mixer's sound leaves by. */
  get node(): AudioNode {
    return this.links.node
  }

  get names(): readonly string[] {
    return this.side.names
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  position(): number {
    const { context } = this.links
    const output = context instanceof AudioContext ? context.outputLatency || context.baseLatency || 0 : 0
    const late = output + limiterLatency(this.options.sampleRate) / this.options.sampleRate
    return this.clock.at(context.currentTime - late, this.loop) / this.options.sampleRate
  }

  levels(): Readonly<Record<string, { rms: number; peak: number }>> {
    this.fresh = false
    const named = [...this.names, 'master'].map((name, i) => {
      const { squares, frames, peak } = this.measured[i] ?? { squares: 0, frames: 0, peak: 0 }
      return [name, { rms: decibels(Math.sqrt(squares / Math.max(1, 2 * frames))), peak: decibels(peak) }]
    })
    return Object.fromEntries(named)
  }

  async play(): Promise<void> {
    if (this.state.status === 'failed') throw new Error(this.state.error ?? 'failed')
    clearTimeout(this.idle)
    if (this.clock.flow === 'ended') this.seek(this.state.loop?.start ?? 0)
    this.wanted = true
    this.links.deck({ type: 'play' })
    this.refresh()
    if (this.links.context instanceof AudioContext) await this.links.context.resume()
  }

  pause(): void {
    this.wanted = false
    this.links.deck({ type: 'pause' })
    this.refresh()
    clearTimeout(this.idle)
    const { context } = this.links
    if (context instanceof AudioContext) this.idle = setTimeout(() => void context.suspend(), IDLE)
  }

  seek(seconds: number): void {
    const { samples, sampleRate } = this.options
    const position = Math.round(within([0, samples], seconds * sampleRate))
    const seek = ++this.seeks
    this.clock.jump(position, this.links.context.currentTime)
    this.links.feeder({ type: 'seek', seek, position })
    this.links.deck({ type: 'seek', seek, position })
  }

  setLoop(region: Region | null): void {
    const { sampleRate, samples } = this.options
    const loop = loopOf(region, sampleRate, samples)
    this.links.feeder({ type: 'loop', loop })
    this.links.deck({ type: 'loop', loop })
    this.change({ loop: loop && { start: loop.start / sampleRate, end: loop.end / sampleRate } })
  }

  setStem(name: string, change: Partial<StemSettings>): void {
    const before = this.state.stems[name]
    if (!before) throw new Error(`there is no stem ${name}`)
    this.change({ stems: { ...this.state.stems, [name]: changed(before, change) } })
    this.sendStems(this.side)
    if (this.next) this.sendStems(this.next)
  }

  setVolume(db: number): void {
    this.change({ volume: within(VOLUME, db) })
    this.links.deck({ type: 'volume', gain: amplitude(this.state.volume) })
  }

  async setOriginal(on: boolean): Promise<void> {
    const { original } = this
    this.change({ original: !on ? 'off' : original && !this.recorded ? 'opening' : 'on' })
    this.links.deck({ type: 'original', on, recorded: original !== null })
    if (!on || !original) return
    this.recording ??= this.opened(ORIGINAL, [original])
    try {
      await this.recording
      this.recorded = true
      if (this.state.original === 'opening') this.change({ original: 'on' })
    } catch (error) {
      this.recording = null
      if (this.state.original !== 'opening') return
      void this.setOriginal(false)
      throw error
    }
  }

  setSpeed(rate: number): void {
    this.change({ speed: within(SPEED, rate) })
    this.setTempo()
  }

  setPitch(semitones: number): void {
    this.change({ pitch: within(PITCH, semitones) })
    this.setTempo()
  }

  replace(stems: readonly StemSource[], original: StemSource | null): Promise<void> {
    const next = this.replacing.then(() => this.replaceNow(stems, original))
    this.replacing = next.catch(() => {})
    return next
  }

  close(): void {
    clearTimeout(this.idle)
    this.links.close()
    this.closed = true
    for (const { reject } of this.opening.values()) reject(new ClosedError('the engine was closed'))
    this.opening.clear()
    this.listeners.clear()
  }

  private get loop() {
    return loopOf(this.state.loop, this.options.sampleRate, this.options.samples)
  }

  private async replaceNow(stems: readonly StemSource[], original: StemSource | null): Promise<void> {
    const names = stems.map((stem) => stem.name)
    const reel = ++this.reels
    this.next = { reel, names }
    this.sendStems(this.next)
    try {
      await this.opened(reel, stems)
      await new Promise<void>((resolve, reject) => this.opening.set(reel, { resolve, reject }))
    } catch (error) {
      this.links.deck({ type: 'unload', reel })
      this.next = null
      throw error
    }
    this.original ??= original
  }

  /** What was to come is heard now. */
  private replaced(): void {
    if (!this.next) return
    this.links.feeder({ type: 'close', reel: this.side.reel })
    this.side = this.next
    this.next = null
    this.measured = []
    this.fresh = false
    this.change({ stems: this.settingsOf(this.names) })
  }

  /** The settings of stems; of those that are new, at rest. */
  private settingsOf(names: readonly string[]): EngineState['stems'] {
    return Object.fromEntries(names.map((name) => [name, this.state.stems[name] ?? PLAIN]))
  }

  private sendStems({ reel, names }: Side): void {
    this.links.deck({ type: 'stems', reel, stems: heardStems(this.settingsOf(names), names) })
  }

  private async opened(reel: number, sources: readonly StemSource[]): Promise<void> {
    if (this.closed) throw new ClosedError('the engine was closed')
    await new Promise<void>((resolve, reject) => {
      this.opening.set(reel, { resolve, reject })
      this.links.feeder({ type: 'open', reel, sources })
    })
  }

  private setTempo(): void {
    const { speed, pitch } = this.state
    this.links.deck({ type: 'tempo', speed, pitch })
    if ((speed === 1 && pitch === 0) || this.stretchable) return
    this.stretchable = true
    loadStretchCode().then(
      (code) => this.links.deck({ type: 'stretch', code }),
      (error: unknown) => this.unstretched(String(error)),
    )
  }

  /** Without its code there is neither speed nor pitch: they go back, and the next change tries again. */
  private unstretched(reason: string): void {
    this.stretchable = false
    console.error(reason)
    this.change({ speed: 1, pitch: 0 })
    this.links.deck({ type: 'tempo', speed: 1, pitch: 0 })
  }

  private fed(event: FeederEvent): void {
    if (event.type === 'filled') this.filled = true
    else if (event.type === 'opened') this.settle(event.reel, ({ resolve }) => resolve())
    else if (!this.settle(event.reel, ({ reject }) => reject(new Error(event.reason)))) this.lost(event)
    this.refresh()
  }

  /** A file that was open can be read no longer; that of an original that is not heard is opened again next time. */
  private lost({ reel, reason }: { reel: number; reason: string }): void {
    if (reel === this.side.reel || (reel === ORIGINAL && this.state.original === 'on')) this.fail(reason)
    else if (reel === ORIGINAL) [this.recording, this.recorded] = [null, false]
  }

  private settle(reel: number, how: (waiting: Waiting) => void): boolean {
    const waiting = this.opening.get(reel)
    this.opening.delete(reel)
    if (waiting) how(waiting)
    return waiting !== undefined
  }

  private hear(event: DeckEvent): void {
    if (event.type === 'replaced') {
      this.replaced()
      this.settle(event.reel, ({ resolve }) => resolve())
    } else if (event.type === 'unstretched') this.unstretched(event.reason)
    else if (event.type === 'failed') this.fail(event.reason)
    else {
      this.measured = this.fresh ? event.levels.map((level, i) => joined(level, this.measured[i]!)) : [...event.levels]
      this.fresh = true
      if (event.seek !== this.seeks) return
      this.clock.add(event)
      if (event.flow === 'ended' && this.wanted) this.pause()
      else this.refresh()
    }
  }

  private fail(reason: string): void {
    this.wanted = false
    this.links.deck({ type: 'pause' })
    this.change({ status: 'failed', error: reason })
  }

  private refresh(): void {
    if (this.state.status === 'failed') return
    const status = this.status()
    if (status !== this.state.status) this.change({ status })
  }

  private status(): EngineState['status'] {
    if (!this.filled) return 'loading'
    if (!this.wanted) return 'ready'
    const now = this.links.context.currentTime
    if (this.clock.flow !== 'buffering') this.waitingSince = null
    else this.waitingSince ??= now
    return this.waitingSince !== null && now - this.waitingSince > PATIENCE ? 'buffering' : 'playing'
  }

  private change(change: Partial<EngineState>): void {
    this.state = { ...this.state, ...change }
    this.listeners.forEach((listener) => listener())
  }
}
