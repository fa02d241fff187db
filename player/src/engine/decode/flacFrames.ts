/** The frames of a FLAC file over HTTP, from any sample on. */

import { FormatError } from './errors'
import { flacFrame, type FlacFrame, type FlacInfo, flacInfo, frameEnd, nextFrame } from './flac'
import type { RangeFile } from './range'

const FIRST = 1 << 16 // bytes that are read at first after a jump …
const NEXT = 1 << 18 // … and then each time
const PROBE = 1 << 15 // bytes that are looked at when a frame is searched
const NEAR = 3 << 16 // bytes that are rather read than searched once more
const PAD = 16 // zeros behind the file's last byte, so that a short last frame can be looked at as any other

interface Point {
  readonly offset: number
  readonly start: number
}

export interface FrameData extends FlacFrame {
  readonly bytes: Uint8Array<ArrayBuffer>
}

export class FlacFrames {
  private buffer = new Uint8Array()
  private offset = 0 // of the buffer in the file
  private at = 0 // of the next frame in the buffer
  private amount = FIRST
  private readonly points: Point[] // where frames are, as far as it is known

  private constructor(
    private readonly file: RangeFile,
    readonly info: FlacInfo,
    head: Uint8Array<ArrayBuffer>,
  ) {
    this.points = [{ offset: info.audio, start: 0 }]
    this.at = Math.min(info.audio, head.length)
    this.hold([head], 0)
  }

  /** Read the head of a file. `FormatError` where it is none of FLAC. */
  static async open(file: RangeFile): Promise<FlacFrames> {
    let bytes = await file.read(0, FIRST)
    let info = flacInfo(bytes)
    while ('needed' in info) {
      if (info.needed > file.size) throw new FormatError(`${file.name} ends within its head`)
      bytes = await file.read(0, info.needed + FIRST)
      info = flacInfo(bytes)
    }
    return new FlacFrames(file, info, bytes)
  }

  /** Go to the frame that holds a sample; that is what `next` then gives. */
  async seek(sample: number): Promise<void> {
    const point = await this.search(sample)
    const within = point.offset - this.offset
    if (within >= 0 && within < this.buffer.length) this.at = within
    else {
      this.buffer = new Uint8Array()
      this.offset = point.offset
      this.at = 0
      this.amount = FIRST + Math.round(this.bytesFrom(point, sample))
    }
    for (let frame = await this.peek(); frame && frame.start + frame.samples <= sample; frame = await this.peek()) {
      this.at = frame.end
    }
  }

  /** The next frame, or null at the end. */
  async next(): Promise<FrameData | null> {
    const frame = await this.peek()
    if (!frame) return null
    const bytes = this.buffer.slice(this.at, frame.end)
    this.at = frame.end
    return { start: frame.start, samples: frame.samples, bytes }
  }

  private get ended(): boolean {
    return this.offset + this.buffer.length >= this.file.size
  }

  private async peek(): Promise<(FlacFrame & { end: number }) | null> {
    for (;;) {
      const frame = flacFrame(this.buffer, this.at, this.info)
      if (frame) {
        const end = frameEnd(this.buffer, this.at, frame, this.info)
        if (end !== null) return { ...frame, end }
        if (this.ended) return { ...frame, end: this.file.size - this.offset }
      } else if (this.ended && this.offset + this.at >= this.file.size) return null
      else if (this.ended || this.buffer.length - this.at >= PAD) this.damaged()
      if (this.buffer.length - this.at > this.info.largestFrame + NEXT) this.damaged()
      await this.more()
    }
  }

  private async more(): Promise<void> {
    const from = this.offset + this.buffer.length
    const rest = this.buffer.subarray(this.at)
    const start = this.offset + this.at
    this.hold([rest, await this.file.read(from, from + this.amount)], start)
    this.at = 0
    this.amount = NEXT
    const frame = flacFrame(this.buffer, 0, this.info)
    if (frame) this.know({ offset: start, start: frame.start })
  }

  /** Keep bytes of the file from an offset on. */
  private hold(parts: readonly Uint8Array[], offset: number): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const buffer = new Uint8Array(length + (offset + length >= this.file.size ? PAD : 0))
    let at = 0
    for (const part of parts) {
      buffer.set(part, at)
      at += part.length
    }
    this.buffer = buffer
    this.offset = offset
  }

  /** A frame at or before the one that holds a sample, so near that reading on from there is quickest. */
  private async search(sample: number): Promise<Point> {
    let low = this.points.findLast((point) => point.start <= sample) ?? this.points[0]!
    let high = this.points.find((point) => point.start > sample) ?? {
      offset: this.file.size,
      start: this.info.samples || Infinity,
    }
    const size = Math.max(PROBE, 2 * this.info.largestFrame + PAD)
    for (let tries = 1; high.offset - low.offset > Math.max(NEAR, 2 * size); tries++) {
      const share = tries % 4 === 0 || high.start === Infinity ? 0.5 : (sample - low.start) / (high.start - low.start)
      const guess = low.offset + share * (high.offset - low.offset) - size
      const from = Math.round(Math.max(low.offset + 1, Math.min(high.offset - size, guess)))
      const found = this.surely(await this.file.read(from, from + size), from, low, high)
      if (!found) this.damaged()
      if (found.start > sample) high = found
      else {
        low = found
        this.know(found)
        if (this.bytesFrom(found, sample) < NEAR) break
      }
    }
    return low
  }

  /** The first frame in `bytes` that another one follows: no chance likeness. */
  private surely(bytes: Uint8Array, offset: number, low: Point, high: Point): Point | null {
    for (let frame = nextFrame(bytes, 0, this.info); frame; frame = nextFrame(bytes, frame.at + 1, this.info)) {
      const between = frame.start > low.start && frame.start < high.start
      if (between && frameEnd(bytes, frame.at, frame, this.info) !== null) {
        return { offset: offset + frame.at, start: frame.start }
      }
    }
    return null
  }

  /** About how far a sample is behind a frame, in bytes. */
  private bytesFrom(point: Point, sample: number): number {
    const perSample = this.info.samples ? (this.file.size - this.info.audio) / this.info.samples : 4
    return (sample - point.start) * perSample
  }

  private know(point: Point): void {
    const after = this.points.findIndex((one) => one.start >= point.start)
    if (after < 0) this.points.push(point)
    else if (this.points[after]!.start !== point.start) this.points.splice(after, 0, point)
  }

  private damaged(): never {
    throw new FormatError(`${this.file.name} is damaged near byte ${this.offset + this.at}`)
  }
}
