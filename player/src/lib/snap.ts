/** Loop regions on the beat. Times are seconds. */

import type { Region } from '../engine/types'

export const SHORTEST = 0.05 // of a loop

/** The index of the last value that is not after `time`, or -1; `sorted` ascends. */
export function before(sorted: readonly number[], time: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? Infinity) <= time) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** The nearest of some ascending times; `time` itself where there are none. */
export function nearest(sorted: readonly number[], time: number): number {
  const at = before(sorted, time)
  const [left, right] = [sorted[at] ?? -Infinity, sorted[at + 1] ?? Infinity]
  const best = time - left <= right - time ? left : right
  return Number.isFinite(best) ? best : time
}

/** What loops snap to: beats that are known, or else only how long one is. */
export interface Grid {
  readonly beats: readonly number[]
  readonly period: number | null
}

/** A region on whole beats: both ends on beats where these are known, else a whole number of beats long. */
export function snapped(region: Region, grid: Grid, duration: number): Region {
  const tidy = ordered(region, duration)
  if (grid.beats.length > 1) {
    const start = nearest(grid.beats, tidy.start)
    const later = grid.beats.filter((beat) => beat > start + SHORTEST)
    return ordered({ start, end: later.length ? nearest(later, tidy.end) : duration }, duration)
  }
  if (!grid.period) return tidy
  const beats = Math.max(1, Math.round((tidy.end - tidy.start) / grid.period))
  return ordered({ start: tidy.start, end: tidy.start + beats * grid.period }, duration)
}

/** A region as it is to be looped: on whole beats where it snaps, within the song in any case. */
export const fit = (region: Region, grid: Grid, snap: boolean, duration: number): Region => (snap ? snapped(region, grid, duration) : ordered(region, duration))

/** A region within the song, its ends in order and apart. */
export function ordered({ start, end }: Region, duration: number): Region {
  const [low, high] = [Math.min(start, end), Math.max(start, end)]
  const from = Math.min(Math.max(0, low), Math.max(0, duration - SHORTEST))
  return { start: from, end: Math.min(duration, Math.max(high, from + SHORTEST)) }
}

/** A loop with its start, or its end, at `position`; the other end stays where it can, else it lies four bars away. */
export function edged(edge: 'start' | 'end', position: number, loop: Region | null, grid: Grid, duration: number): Region {
  const length = firstLoop(position, grid, duration)
  const reach = length.end - length.start
  if (edge === 'start') return { start: position, end: loop && loop.end > position ? loop.end : Math.min(duration, position + reach) }
  return { start: loop && loop.start < position ? loop.start : Math.max(0, position - reach), end: position }
}

/** A loop to begin with: four bars from the bar that `position` is in, or eight seconds where no beat is known. */
export function firstLoop(position: number, grid: Grid, duration: number): Region {
  if (grid.beats.length > 16) {
    const at = Math.min(Math.max(0, before(grid.beats, position + 0.02)), grid.beats.length - 17)
    return { start: grid.beats[at] ?? 0, end: grid.beats[at + 16] ?? duration }
  }
  const length = Math.min(grid.period ? 16 * grid.period : 8, duration)
  return ordered({ start: Math.min(position, duration - length), end: Math.min(position, duration - length) + length }, duration)
}
