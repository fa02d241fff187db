/** The engine's two helpers, the audio thread and the decoding worker, and the lines between all three. */

import mixerUrl from './mixer.worklet?worker&url'
import type { DeckCommand, DeckEvent, DeckOptions, FeederCommand, FeederEvent } from './messages'
import { MIXER } from './messages'
import type { OpenOptions } from './types'

export class Links {
  onDeck: (event: DeckEvent) => void = () => {}
  onFeeder: (event: FeederEvent) => void = () => {}

  private constructor(
    readonly context: BaseAudioContext,
    readonly node: AudioWorkletNode,
    private readonly worker: Worker,
  ) {
    node.port.onmessage = ({ data }: MessageEvent<DeckEvent>) => this.onDeck(data)
    node.onprocessorerror = () => this.onDeck({ type: 'failed', reason: 'the mixer broke down' })
    worker.onmessage = ({ data }: MessageEvent<FeederEvent>) => this.onFeeder(data)
    worker.onerror = (event) => this.onDeck({ type: 'failed', reason: event.message || 'the decoder could not start' })
  }

  /** Start both. */
  static async to(context: BaseAudioContext, { sampleRate, samples, stems }: OpenOptions): Promise<Links> {
    await context.audioWorklet.addModule(mixerUrl)
    const options: DeckOptions = { sampleRate, length: samples, stems: stems.length }
    const node = new AudioWorkletNode(context, MIXER, {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: options,
    })
    const worker = new Worker(new URL('./decode/worker.ts', import.meta.url), { type: 'module' })
    const links = new Links(context, node, worker)
    const { port1, port2 } = new MessageChannel()
    links.deck({ type: 'feed', port: port1 }, [port1])
    links.feeder({ type: 'start', port: port2, sampleRate, length: samples }, [port2])
    return links
  }

  deck(command: DeckCommand, transfer: Transferable[] = []): void {
    this.node.port.postMessage(command, transfer)
  }

  feeder(command: FeederCommand, transfer: Transferable[] = []): void {
    this.worker.postMessage(command, transfer)
  }

  close(): void {
    this.deck({ type: 'close' })
    this.node.disconnect()
    this.node.port.close()
    this.worker.terminate()
    if (this.context instanceof AudioContext && this.context.state !== 'closed') void this.context.close()
  }
}
