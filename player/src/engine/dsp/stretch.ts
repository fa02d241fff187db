/** Signalsmith Stretch (signalsmith-audio.co.uk/code/stretch, MIT): its WebAssembly, without its audio node. */

/** The WebAssembly of the package and what its functions are called in there. */
export interface StretchCode {
  readonly wasm: Uint8Array<ArrayBuffer>
  readonly names: Readonly<Record<string, string>>
}

type Call = (...values: number[]) => number

/** Slower, faster, higher, lower: two channels. */
export class Stretch {
  readonly inputLatency: number // frames
  readonly outputLatency: number
  readonly history: number // frames that `prime` takes
  private readonly pointer: number

  private constructor(
    private readonly call: (name: string) => Call,
    private readonly memory: WebAssembly.Memory,
    private readonly sampleRate: number,
  ) {
    // Blocks of 120 ms each 30 ms, as its default is; the last 1: their computation is spread evenly over the time.
    call('_configure')(2, Math.round(0.12 * sampleRate), Math.round(0.03 * sampleRate), 1)
    this.inputLatency = call('_inputLatency')()
    this.outputLatency = call('_outputLatency')()
    this.history = this.inputLatency + this.outputLatency
    this.pointer = call('_setBuffers')(2, this.history)
  }

  /** Start the WebAssembly. */
  static async from(code: StretchCode, sampleRate: number): Promise<Stretch> {
    let memory: WebAssembly.Memory | undefined
    const { instance } = await WebAssembly.instantiate(code.wasm, { a: imports(() => memory!) })
    const named = (name: string): Call => {
      const found = instance.exports[code.names[name] ?? '']
      if (typeof found !== 'function') throw new Error(`Signalsmith Stretch has no ${name}`)
      return found as Call
    }
    memory = Object.values(instance.exports).find((one) => one instanceof WebAssembly.Memory)
    if (!memory) throw new Error('Signalsmith Stretch has no memory')
    named('constructors')()
    named('_main')(0, 0)
    return new Stretch(named, memory, sampleRate)
  }

  /** Frames of the song between what went in and what comes out. */
  lag(speed: number): number {
    return Math.round(this.inputLatency + this.outputLatency * speed)
  }

  setPitch(semitones: number): void {
    this.call('_setTransposeSemitones')(semitones, 8000 / this.sampleRate)
  }

  /** Forget everything, and take `history` frames as what came before. */
  prime(left: Float32Array, right: Float32Array, speed: number): void {
    this.call('_reset')()
    this.input(left, right, this.history)
    this.call('_seek')(this.history, speed)
  }

  /** Turn `taken` frames into `given`; neither may exceed `history`. */
  run(
    input: readonly [Float32Array, Float32Array],
    taken: number,
    output: readonly [Float32Array, Float32Array],
    given: number,
  ): void {
    this.input(input[0], input[1], taken)
    this.call('_process')(taken, given)
    for (const [channel, samples] of output.entries()) {
      samples.set(this.view(2 + channel).subarray(0, given))
    }
  }

  private input(left: Float32Array, right: Float32Array, frames: number): void {
    this.view(0).set(left.subarray(0, frames))
    this.view(1).set(right.subarray(0, frames))
  }

  private view(buffer: number): Float32Array {
    return new Float32Array(this.memory.buffer, this.pointer + buffer * this.history * 4, this.history)
  }
}

/** What the WebAssembly asks of its surroundings: random numbers, memory, copying, the end. */
function imports(memory: () => WebAssembly.Memory): Record<string, Call> {
  return {
    a: (pointer: number, size: number) => {
      const bytes = new Uint8Array(memory().buffer, pointer, size)
      for (let i = 0; i < size; i++) bytes[i] = Math.random() * 256
      return 0
    },
    b: (size: number) => {
      const pages = Math.ceil((size - memory().buffer.byteLength) / 65536)
      try {
        memory().grow(pages)
        return 1
      } catch {
        return 0
      }
    },
    c: (to: number, from: number, size: number) => {
      new Uint8Array(memory().buffer).copyWithin(to, from, from + size)
      return 0
    },
    d: () => {
      throw new Error('Signalsmith Stretch gave up')
    },
  }
}
