/** The page of the audio proof: an engine whose sound is written down. Not part of the player. */

import { audioContext } from '../context'
import { StreamEngine } from '../engine'
import type { OpenOptions } from '../types'
import tapUrl from './tap.worklet?worker&url'

class Proof {
  engine!: StreamEngine
  statuses: string[] = []
  context!: AudioContext
  private tap!: AudioWorkletNode

  /** Open a song as the player does, with a tap on the way to the output. */
  async open(options: OpenOptions): Promise<void> {
    this.context = audioContext(options.sampleRate)
    this.engine = await StreamEngine.on(this.context, options)
    await this.context.audioWorklet.addModule(tapUrl)
    this.tap = new AudioWorkletNode(this.context, 'tap', { numberOfOutputs: 0, channelCount: 2 })
    this.engine.node.connect(this.tap)
    this.engine.node.connect(this.context.destination)
    this.statuses = [this.engine.state.status]
    this.engine.subscribe(() => {
      if (this.engine.state.status !== this.statuses.at(-1)) this.statuses.push(this.engine.state.status)
    })
    await this.until(() => this.engine.state.status !== 'loading')
  }

  record(): void {
    this.tap.port.postMessage('start')
  }

  /** What was heard since `record`: base64 of float32, quanta of 128 left and 128 right samples. */
  async recorded(): Promise<string> {
    const pieces = await new Promise<Float32Array<ArrayBuffer>[]>((resolve) => {
      this.tap.port.onmessage = ({ data }: MessageEvent<Float32Array<ArrayBuffer>[]>) => resolve(data)
      this.tap.port.postMessage('stop')
    })
    const reader = new FileReader()
    const done = new Promise((resolve) => reader.addEventListener('load', resolve))
    reader.readAsDataURL(new Blob(pieces))
    await done
    return String(reader.result).split(',')[1] ?? ''
  }

  /** Wait for a condition; fails after `seconds`. */
  async until(condition: () => boolean, seconds = 30): Promise<void> {
    const end = performance.now() + seconds * 1000
    while (!condition()) {
      if (performance.now() > end) throw new Error(`still ${this.engine.state.status}: ${this.engine.state.error}`)
      await new Promise((go) => setTimeout(go, 5))
    }
  }

  async wait(seconds: number): Promise<void> {
    await new Promise((go) => setTimeout(go, seconds * 1000))
  }
}

Object.assign(window, { proof: new Proof() })
