/** The mix of a song, remembered in this browser. */

import type { StemSettings } from '../engine/types'
import { recall, remember } from '../lib/memory'

export interface Mix {
  readonly volume: number
  readonly stems: Readonly<Record<string, StemSettings>>
}

const key = (song: string): string => `mix:${song}`

export function recalledMix(song: string): Mix | null {
  return recall<Mix>(key(song))
}

export function rememberMix(song: string, mix: Mix): void {
  remember(key(song), isPlain(mix) ? null : mix)
}

export function isPlain(mix: Mix): boolean {
  return mix.volume === 0 && Object.values(mix.stems).every(isFlat)
}

/** Whether a stem is as it was made. */
export function isFlat({ gain, pan, mute, solo, eq }: StemSettings): boolean {
  return gain === 0 && pan === 0 && !mute && !solo && isEven(eq)
}

export const isEven = (eq: StemSettings['eq']): boolean => eq.low === 0 && eq.mid === 0 && eq.high === 0

/** The settings of a stem, with what is missing or damaged at rest. */
export function settled(stored: Partial<StemSettings> | undefined): StemSettings {
  const number = (value: unknown, rest: number) => (typeof value === 'number' && Number.isFinite(value) ? value : rest)
  return {
    gain: number(stored?.gain, 0),
    pan: number(stored?.pan, 0),
    mute: stored?.mute === true,
    solo: stored?.solo === true,
    eq: { low: number(stored?.eq?.low, 0), mid: number(stored?.eq?.mid, 0), high: number(stored?.eq?.high, 0) },
  }
}
