/** The mix of a song, remembered in this browser. */

import { PLAIN, type StemSettings } from '../engine/types'
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

/**
 * How much louder, in dB, the present mix is than all stems as they were made, by their integrated loudness as if they
 * were independent; 0 where that is not known. Equalisers are left out.
 */
export function louder(lufs: Readonly<Record<string, number | null>>, stems: Readonly<Record<string, StemSettings>>): number {
  const soloed = Object.values(stems).some((one) => one.solo)
  let [mix, all] = [0, 0]
  for (const [name, level] of Object.entries(lufs)) {
    const { gain, mute, solo } = stems[name] ?? PLAIN
    if (level === null) continue
    all += 10 ** (level / 10)
    if (!mute && (solo || !soloed) && gain > -60) mix += 10 ** ((level + gain) / 10)
  }
  return mix > 0 && all > 0 ? Math.max(-18, Math.min(6, 10 * Math.log10(mix / all))) : 0
}
