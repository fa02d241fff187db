/** Files that wait to be added, and which of the three ways in is open: dropped anywhere, shown in `Add`. */

import { createStore } from '../lib/store'
import { joined, kindOf } from './files'

export type Way = 'song' | 'stems' | 'midi'

export interface Staged {
  readonly way: Way
  readonly files: readonly File[]
  readonly refused: number // files that are neither recordings nor MIDI
}

const EMPTY: Staged = { way: 'song', files: [], refused: 0 }
export const staged = createStore<Staged>(EMPTY)

/** Adds files to those that wait; MIDI alone opens its own way. */
export function stage(files: readonly File[], way?: Way): void {
  staged.set((now) => {
    const usable = files.filter((file) => kindOf(file) !== 'neither')
    const all = joined(now.files, usable)
    const onlyMidi = all.length > 0 && all.every((file) => kindOf(file) === 'midi')
    return { way: way ?? (onlyMidi ? 'midi' : now.way), files: all, refused: files.length - usable.length }
  })
}

export function unstage(file: File): void {
  staged.set((now) => ({ ...now, files: now.files.filter((one) => one !== file), refused: 0 }))
}

export function choose(way: Way): void {
  staged.set((now) => ({ ...now, way }))
}

export function clearStage(): void {
  staged.set((now) => ({ ...EMPTY, way: now.way }))
}
