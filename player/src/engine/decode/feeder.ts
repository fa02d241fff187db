/** Keeps the next seconds of all sources decoded: what playback will need, first needed first, and nothing else. */

import { type FeederEvent, ORIGINAL, type ReelMessage } from '../messages'
import { CHUNK, chunksAhead, type Span } from '../dsp/path'
import type { Channels } from '../dsp/reel'
import type { StemSource } from '../types'
import { openReader } from './open'
import type { Reader } from './reader'

const AHEAD = 5 // seconds that are kept decoded
const BATCH = 4 // chunks that are decoded at once, at most
const START = 0.5 // seconds with which playback can surely begin

interface Song {
  readonly sampleRate: number
  readonly length: number // samples
}

interface Reel {
  readonly end: AbortController
  readonly given: Set<number>[] // chunks that the audio thread has, for each source
}

export class Feeder {
  private readonly reels = new Map<number, Reel>()
  private position = 0
  private seek = 0
  private loop: Span | null = null
  private wanted: number[] = []
  private filled = -1 // the last seek of which it was told
  private waiting: (() => void)[] = []

  constructor(
    private readonly song: Song,
    private readonly give: (message: ReelMessage, transfer: Transferable[]) => void,
    private readonly tell: (event: FeederEvent) => void,
  ) {
    this.look()
  }

  /** Open files and feed them from now on. */
  async open(number: number, sources: readonly StemSource[]): Promise<void> {
    const end = new AbortController()
    const reel = { end, given: sources.map(() => new Set<number>()) }
    this.reels.set(number, reel)
    try {
      const readers = await Promise.all(sources.map((source) => openReader(source, end.signal)))
      const other = readers.find((reader) => reader.sampleRate !== this.song.sampleRate)
      if (other) throw new Error(`a file of ${other.sampleRate} Hz in a song of ${this.song.sampleRate} Hz`)
      this.tell({ type: 'opened', reel: number })
      await Promise.all(readers.map((reader, source) => this.feed(number, reel, source, reader)))
    } catch (error) {
      if (end.signal.aborted) return
      this.close(number)
      this.tell({ type: 'failed', reel: number, reason: error instanceof Error ? error.message : String(error) })
    }
  }

  /** Feed them no longer. */
  close(number: number): void {
    this.reels.get(number)?.end.abort()
    this.reels.delete(number)
    this.wake()
  }

  /** Playback jumps. */
  jump(seek: number, position: number): void {
    this.seek = seek
    this.position = position
    this.look()
  }

  /** Playback has come to a place; of no interest where it is to jump since. */
  reach(seek: number, position: number): void {
    if (seek !== this.seek) return
    this.position = position
    this.look()
  }

  setLoop(loop: Span | null): void {
    this.loop = loop
    this.look()
  }

  /** Work out what is needed now, and drop what is not. */
  private look(): void {
    const { sampleRate, length } = this.song
    const from = this.position < length ? this.position : (this.loop?.start ?? 0) // at the end, for another time
    const before = Math.max(0, this.position - CHUNK)
    this.wanted = chunksAhead(from, AHEAD * sampleRate, this.loop, length)
    const kept = new Set([...this.wanted, Math.floor(before / CHUNK)])
    for (const [number, reel] of this.reels) {
      const gone = new Set(reel.given.flatMap((given) => [...given].filter((index) => !kept.has(index))))
      if (gone.size === 0) continue
      reel.given.forEach((given) => gone.forEach((index) => given.delete(index)))
      this.give({ type: 'drop', reel: number, indices: [...gone] }, [])
    }
    this.tellFilled()
    this.wake()
  }

  /** Decode one source's chunks for as long as its reel is open. */
  private async feed(number: number, reel: Reel, source: number, reader: Reader): Promise<void> {
    const given = reel.given[source]!
    let batch = 1
    let expected = -1
    try {
      while (!reel.end.signal.aborted) {
        const index = this.wanted.find((one) => !given.has(one))
        if (index === undefined) {
          await new Promise<void>((go) => this.waiting.push(go))
          continue
        }
        batch = index === expected ? Math.min(BATCH, 2 * batch) : 1 // the first after a jump must come soon
        const count = this.missing(given, index, batch)
        expected = index + count
        const start = index * CHUNK
        const channels = await reader.read(start, Math.min(count * CHUNK, this.song.length - start))
        if (reel.end.signal.aborted) return
        for (let i = 0; i < count; i++) this.pass(number, reel, source, index + i, channels, i)
        this.tellFilled()
      }
    } finally {
      reader.close()
    }
  }

  /** How many chunks from one on are wanted and missing, up to a number. */
  private missing(given: ReadonlySet<number>, index: number, most: number): number {
    let count = 1
    while (count < most && this.wanted.includes(index + count) && !given.has(index + count)) count++
    return count
  }

  /** Hand over the `nth` chunk of what was decoded, where it is still wanted. */
  private pass(number: number, reel: Reel, source: number, index: number, decoded: Channels, nth: number): void {
    if (!this.wanted.includes(index)) return
    const channels = decoded.map((one) => one.slice(nth * CHUNK, (nth + 1) * CHUNK))
    reel.given[source]!.add(index)
    this.give({ type: 'chunk', reel: number, sources: reel.given.length, source, index, channels }, channels.map((one) => one.buffer))
  }

  private tellFilled(): void {
    const stems = [...this.reels].filter(([number]) => number !== ORIGINAL)
    if (this.filled === this.seek || stems.length === 0) return
    const { sampleRate, length } = this.song
    const first = chunksAhead(this.position, START * sampleRate, this.loop, length)
    const all = stems.flatMap(([, reel]) => reel.given)
    if (!all.every((given) => first.every((index) => given.has(index)))) return
    this.filled = this.seek
    this.tell({ type: 'filled', seek: this.seek })
  }

  private wake(): void {
    const waiting = this.waiting
    this.waiting = []
    waiting.forEach((go) => go())
  }
}
