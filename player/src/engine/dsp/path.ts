/** The way of playback through a song with a loop. Positions are whole samples; an end is the sample after the last. */

export interface Span {
  readonly start: number
  readonly end: number
}

export const CHUNK = 8192 // frames in which decoded sound is handed over and kept

/** How far playback runs from `position` before it jumps (at the loop's end) or ends; at most `frames`. */
export function run(position: number, frames: number, loop: Span | null, length: number): number {
  const end = loop && position < loop.end ? loop.end : length
  return Math.max(0, Math.min(frames, end - position))
}

/** Where playback goes on after `position` was reached by a run: at the loop's start when that was its end. */
export function turned(position: number, loop: Span | null): number {
  return loop && position === loop.end ? loop.start : position
}

/** The chunks that playback needs for the next `frames`, first needed first, each once. */
export function chunksAhead(position: number, frames: number, loop: Span | null, length: number): number[] {
  const chunks = new Set<number>()
  let laps = 0
  while (frames > 0 && laps < 3) {
    const step = run(position, frames, loop, length)
    if (step === 0) break
    for (let k = Math.floor(position / CHUNK); k * CHUNK < position + step; k++) chunks.add(k)
    frames -= step
    const next = turned(position + step, loop)
    if (next !== position + step) laps += 1 // a whole lap needs nothing new
    position = next
  }
  return [...chunks]
}

/** A region of seconds as samples within the song; null where nothing is left of it. */
export function loopOf(region: Span | null, sampleRate: number, length: number): Span | null {
  if (!region) return null
  const start = Math.max(0, Math.round(region.start * sampleRate))
  const end = Math.min(length, Math.round(region.end * sampleRate))
  return end > start ? { start, end } : null
}
