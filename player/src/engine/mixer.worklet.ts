/** The audio thread's end: messages to the deck, and its sound to the output. */

import { Deck } from './dsp/deck'
import type { Reel } from './dsp/reel'
import { Stretch } from './dsp/stretch'
import type { Heard } from './dsp/strip'
import { type DeckCommand, type DeckEvent, type DeckOptions, MIXER, ORIGINAL, type ReelMessage } from './messages'

declare const currentTime: number
declare const sampleRate: number
declare class AudioWorkletProcessor {
  readonly port: MessagePort
}
type Processor = new (options: { processorOptions: DeckOptions }) => object
declare function registerProcessor(name: string, processor: Processor): void

const REPORT = 8 // quanta between two reports to the page
const PLACE = 32 // quanta between two words to the worker

class MixerProcessor extends AudioWorkletProcessor {
  private readonly deck: Deck
  private readonly reels = new Map<number, Reel>()
  private readonly heard = new Map<number, readonly Heard[]>() // settings of the stems of a reel
  private feed: MessagePort | null = null
  private quantum = 0
  private flow = ''
  private present = 1 // the reel that is heard
  private latest = 1 // the last that was begun
  private closed = false

  constructor({ processorOptions }: { processorOptions: DeckOptions }) {
    super()
    this.deck = new Deck(processorOptions)
    this.reels.set(1, this.deck.mixer.side.reel)
    this.port.onmessage = ({ data }: MessageEvent<DeckCommand>) => {
      this.obey(data)
      this.lookForNext()
      this.report()
    }
  }

  process(_: unknown, [output]: [Float32Array[]]): boolean {
    const [left, right] = output as [Float32Array, Float32Array]
    this.deck.process(left, right)
    this.lookForNext()
    this.quantum += 1
    if (this.quantum % REPORT === 0 || this.deck.flow !== this.flow) this.report(left.length / sampleRate)
    if (this.quantum % PLACE === 0) this.feed?.postMessage(this.place())
    return !this.closed
  }

  private obey(command: DeckCommand): void {
    const { deck } = this
    if (command.type === 'feed') this.attach(command.port)
    else if (command.type === 'play') deck.play()
    else if (command.type === 'pause') deck.pause()
    else if (command.type === 'seek') deck.seek(command.seek, command.position)
    else if (command.type === 'loop') deck.setLoop(command.loop)
    else if (command.type === 'stems') this.setStems(command)
    else if (command.type === 'volume') deck.setVolume(command.gain)
    else if (command.type === 'original') deck.mixer.setOriginal(command.on, command.recorded)
    else if (command.type === 'tempo') deck.tempo.set(command.speed, command.pitch)
    else if (command.type === 'stretch') void this.startStretch(command)
    else if (command.type === 'unload') this.unload(command.reel)
    else this.closed = true
  }

  private attach(port: MessagePort): void {
    this.feed = port
    port.onmessage = ({ data }: MessageEvent<ReelMessage>) => {
      if (data.type === 'chunk' && data.reel > this.latest) this.load(data)
      else if (data.reel === ORIGINAL && !this.reels.has(ORIGINAL)) this.reels.set(ORIGINAL, this.deck.mixer.record())
      const reel = this.reels.get(data.reel)
      if (data.type === 'drop') reel?.drop(data.indices)
      else reel?.put(data.source, data.index, data.channels)
      if (this.deck.silent) this.deck.replace()
      this.lookForNext()
    }
  }

  /** The first chunk of files that are to replace others; the page's word on their settings may come later. */
  private load({ reel, sources }: { reel: number; sources: number }): void {
    const { mixer } = this.deck
    this.latest = reel
    mixer.next = mixer.sideOf(sources)
    this.reels.set(reel, mixer.next.reel)
    this.deck.setStems(this.heard.get(reel) ?? [], mixer.next)
  }

  private setStems({ reel, stems }: { reel: number; stems: readonly Heard[] }): void {
    this.heard.set(reel, stems)
    const { side, next } = this.deck.mixer
    if (reel === this.present) this.deck.setStems(stems, side)
    else if (reel === this.latest && next) this.deck.setStems(stems, next)
  }

  private unload(reel: number): void {
    if (reel === this.present) return // it was heard before this was said
    this.latest = Math.max(this.latest, reel)
    if (this.reels.get(reel) === this.deck.mixer.next?.reel) this.deck.mixer.forget()
    this.reels.delete(reel)
    this.heard.delete(reel)
  }

  /** Tell the page when what was to come is heard. */
  private lookForNext(): void {
    if (this.deck.mixer.side.reel === this.reels.get(this.present)) return
    this.reels.delete(this.present)
    this.heard.delete(this.present)
    this.present = this.latest
    this.say({ type: 'replaced', reel: this.present })
  }

  private async startStretch({ code }: { code: Parameters<typeof Stretch.from>[0] }): Promise<void> {
    try {
      this.deck.tempo.setStretch(await Stretch.from(code, sampleRate))
    } catch (error) {
      this.say({ type: 'unstretched', reason: String(error) })
    }
  }

  private place() {
    return { seek: this.deck.seekDone, position: this.deck.mixer.position }
  }

  private report(after = 0): void {
    this.flow = this.deck.flow
    this.say({ type: 'report', time: currentTime + after, ...this.deck.report() })
  }

  private say(event: DeckEvent): void {
    this.port.postMessage(event)
  }
}

registerProcessor(MIXER, MixerProcessor)
