/** Decoded sound at hand: for some sources that belong together, the chunks around the place of playback. */

import { CHUNK, run, type Span, turned } from './path'

export type Channels = readonly Float32Array[]

export class Reel {
  private readonly chunks = new Map<number, Channels[]>()

  constructor(readonly sources: number) {}

  put(source: number, index: number, channels: Channels): void {
    const row = this.chunks.get(index) ?? []
    row[source] = channels
    this.chunks.set(index, row)
  }

  drop(indices: readonly number[]): void {
    for (const index of indices) this.chunks.delete(index)
  }

  /** Whether a chunk is there of all sources. */
  has(index: number): boolean {
    const row = this.chunks.get(index)
    if (!row) return false
    for (let source = 0; source < this.sources; source++) if (!row[source]) return false
    return true
  }

  /** Whether playback could run for `frames` from `position`, or to its end. */
  covers(position: number, frames: number, loop: Span | null, length: number): boolean {
    while (frames > 0) {
      const index = Math.floor(position / CHUNK)
      const step = run(position, Math.min(frames, (index + 1) * CHUNK - position), loop, length)
      if (step === 0) return true
      if (!this.has(index)) return false
      frames -= step
      position = turned(position + step, loop)
    }
    return true
  }

  /** Copy samples that lie within one chunk to `left` and `right` from `at` on; mono goes to both. */
  read(source: number, position: number, frames: number, left: Float32Array, right: Float32Array, at: number): void {
    const index = Math.floor(position / CHUNK)
    const channels = this.chunks.get(index)?.[source]
    if (!channels) throw new Error(`chunk ${index} of source ${source} is not there`)
    const from = position - index * CHUNK
    left.set(channels[0]!.subarray(from, from + frames), at)
    right.set((channels[1] ?? channels[0]!).subarray(from, from + frames), at)
  }
}
