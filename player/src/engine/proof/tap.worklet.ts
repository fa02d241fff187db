/** Writes down what the mixer puts out, for the audio proof in tests/player. */

declare class AudioWorkletProcessor {
  readonly port: MessagePort
}
declare function registerProcessor(name: string, processor: new () => object): void

class Tap extends AudioWorkletProcessor {
  private kept: Float32Array[] | null = null

  constructor() {
    super()
    this.port.onmessage = ({ data }: MessageEvent<'start' | 'stop'>) => {
      if (data === 'start') this.kept = []
      else {
        this.port.postMessage(this.kept ?? [])
        this.kept = null
      }
    }
  }

  process([input]: [Float32Array[]]): boolean {
    const [left, right] = input
    if (this.kept && left && right) {
      const both = new Float32Array(2 * left.length)
      both.set(left)
      both.set(right, left.length)
      this.kept.push(both)
    }
    return true
  }
}

registerProcessor('tap', Tap)
