/** WAV by ranges: PCM of 16, 24 or 32 bits, or float; for browsers without WebCodecs or its FLAC. */

import type { Channels } from '../dsp/reel'
import { FormatError } from './errors'
import type { RangeFile } from './range'
import type { Reader } from './reader'

const HEAD = 4096 // bytes
const FRAMES = 1 << 16 // read at once

export interface WavInfo {
  readonly sampleRate: number
  readonly channels: number
  readonly bytes: 2 | 3 | 4 // of a sample
  readonly float: boolean
  readonly start: number // offset of the first sample
  readonly frames: number
}

/** The head of a file; null where `bytes` end before its samples begin. */
export function wavInfo(bytes: Uint8Array, fileSize: number): WavInfo | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (word(view, 0) !== 'RIFF' || word(view, 8) !== 'WAVE') throw new FormatError('this is not a WAV file')
  let format: Omit<WavInfo, 'start' | 'frames'> | null = null
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = word(view, at)
    const size = view.getUint32(at + 4, true)
    if (name === 'data') {
      if (!format) throw new FormatError('this WAV file has no format')
      const start = at + 8
      const held = Math.min(size, fileSize - start) // streamed files do not know their size
      return { ...format, start, frames: Math.floor(held / (format.channels * format.bytes)) }
    }
    if (name === 'fmt ' && at + 24 <= bytes.length) format = formatOf(view, at + 8)
    at += 8 + size + (size % 2)
  }
  return null
}

function formatOf(view: DataView, at: number): Omit<WavInfo, 'start' | 'frames'> {
  const tag = view.getUint16(at, true)
  const kind = tag === 0xfffe ? view.getUint16(at + 24, true) : tag // extensible: the first bytes of its GUID
  const bytes = view.getUint16(at + 14, true) / 8
  const float = kind === 3 && bytes === 4
  if (!float && (kind !== 1 || ![2, 3, 4].includes(bytes))) throw new FormatError('this kind of WAV is not known')
  return {
    channels: view.getUint16(at + 2, true),
    sampleRate: view.getUint32(at + 4, true),
    bytes: bytes as 2 | 3 | 4,
    float,
  }
}

/** Planar samples of interleaved ones. */
export function wavSamples(bytes: Uint8Array, info: WavInfo): Float32Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const frame = info.bytes * info.channels
  const sample = (at: number): number => {
    if (info.float) return view.getFloat32(at, true)
    if (info.bytes === 2) return view.getInt16(at, true) / 2 ** 15
    if (info.bytes === 4) return view.getInt32(at, true) / 2 ** 31
    return (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 2 ** 23
  }
  return Array.from({ length: info.channels }, (_, channel) =>
    Float32Array.from({ length: Math.floor(bytes.length / frame) }, (_, i) => sample(i * frame + channel * info.bytes)),
  )
}

export class WavReader implements Reader {
  private held: { start: number; channels: Float32Array[] } | null = null

  private constructor(
    private readonly file: RangeFile,
    private readonly info: WavInfo,
  ) {}

  static async open(file: RangeFile): Promise<WavReader> {
    for (let size = HEAD; ; size *= 16) {
      const bytes = await file.read(0, size)
      const info = wavInfo(bytes, file.size)
      if (info) return new WavReader(file, info)
      if (size > file.size) throw new FormatError(`${file.name} holds no samples`)
    }
  }

  get sampleRate(): number {
    return this.info.sampleRate
  }

  async read(start: number, frames: number): Promise<Channels> {
    const parts = Array.from({ length: this.info.channels }, () => new Float32Array(frames))
    const end = Math.min(start + frames, this.info.frames)
    for (let at = start; at < end; ) {
      const held = await this.around(at)
      const count = Math.min(end, held.start + held.channels[0]!.length) - at
      if (count <= 0) throw new FormatError(`${this.file.name} is shorter than it says`)
      const from = at - held.start
      parts.forEach((part, c) => part.set(held.channels[c]!.subarray(from, from + count), at - start))
      at += count
    }
    return parts
  }

  close(): void {
    this.held = null
  }

  private async around(at: number): Promise<{ start: number; channels: Float32Array[] }> {
    const held = this.held
    if (held && at >= held.start && at < held.start + held.channels[0]!.length) return held
    const frame = this.info.bytes * this.info.channels
    const count = Math.min(FRAMES, this.info.frames - at)
    const from = this.info.start + at * frame
    this.held = { start: at, channels: wavSamples(await this.file.read(from, from + count * frame), this.info) }
    return this.held
  }
}

function word(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => (at + i < view.byteLength ? view.getUint8(at + i) : 0)))
}
