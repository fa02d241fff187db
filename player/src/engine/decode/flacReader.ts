/** FLAC by the browser's own decoder (WebCodecs). */

import type { Channels } from '../dsp/reel'
import { FormatError } from './errors'
import type { FlacInfo } from './flac'
import type { FlacFrames, FrameData } from './flacFrames'
import type { Reader } from './reader'

interface Piece {
  readonly start: number
  readonly channels: Float32Array[]
}

const endOf = (piece: Piece) => piece.start + piece.channels[0]!.length

export class FlacReader implements Reader {
  private decoder: AudioDecoder | null = null
  private pieces: Piece[] = [] // what was decoded and not yet given, in order
  private cursor = -1 // the sample that can be read without a jump

  constructor(
    private readonly frames: FlacFrames,
    private readonly name: string,
  ) {}

  static config(info: FlacInfo): AudioDecoderConfig {
    return {
      codec: 'flac',
      sampleRate: info.sampleRate,
      numberOfChannels: info.channels,
      description: info.description,
    }
  }

  get sampleRate(): number {
    return this.frames.info.sampleRate
  }

  async read(start: number, frames: number): Promise<Channels> {
    if (start !== this.cursor) {
      this.pieces = []
      this.cursor = -1
      await this.frames.seek(start)
    }
    const end = start + frames
    let known = this.pieces.length > 0 ? endOf(this.pieces.at(-1)!) : start
    const coded: FrameData[] = []
    while (known < end) {
      const frame = await this.frames.next()
      if (!frame) break
      coded.push(frame)
      known = frame.start + frame.samples
    }
    if (coded.length > 0) await this.decode(coded)
    const channels = this.taken(start, end)
    this.pieces = this.pieces.filter((piece) => endOf(piece) > end)
    this.cursor = end
    return channels
  }

  close(): void {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close()
  }

  /** Decode frames into `pieces`; a browser may have taken away a decoder that was idle, so a second one is tried. */
  private async decode(coded: readonly FrameData[]): Promise<void> {
    const before = [...this.pieces]
    for (let tries = 0; ; tries++) {
      try {
        const decoder = this.opened()
        for (const frame of coded) {
          const timestamp = Math.round((frame.start * 1e6) / this.sampleRate)
          decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, data: frame.bytes }))
        }
        await decoder.flush()
        return
      } catch (error) {
        if (tries > 0) throw new FormatError(`${this.name} cannot be decoded: ${error}`)
        this.close()
        this.pieces = [...before]
      }
    }
  }

  private opened(): AudioDecoder {
    if (!this.decoder || this.decoder.state === 'closed') {
      this.decoder = new AudioDecoder({ output: (data) => this.keep(data), error: () => {} }) // `flush` rejects as well
      this.decoder.configure(FlacReader.config(this.frames.info))
    }
    return this.decoder
  }

  private keep(data: AudioData): void {
    const start = Math.round((data.timestamp * this.sampleRate) / 1e6)
    const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
      const samples = new Float32Array(data.numberOfFrames)
      data.copyTo(samples, { planeIndex, format: 'f32-planar' })
      return samples
    })
    data.close()
    this.pieces.push({ start, channels })
  }

  private taken(start: number, end: number): Float32Array[] {
    return Array.from({ length: this.frames.info.channels }, (_, channel) => {
      const samples = new Float32Array(end - start)
      for (const piece of this.pieces) {
        const from = Math.max(start, piece.start)
        const to = Math.min(end, endOf(piece))
        const part = piece.channels[channel]!.subarray(from - piece.start, Math.max(from, to) - piece.start)
        if (from < to) samples.set(part, from - start)
      }
      return samples
    })
  }
}
