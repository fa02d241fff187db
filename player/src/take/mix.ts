/** The present mix as a request to the server, and what of it the server cannot make. */

import { isHeard } from '../engine/settings'
import type { EngineState, Region } from '../engine/types'
import { listed } from '../lib/format'
import { isEven } from '../song/memory'

export const FORMATS: readonly (readonly [string, string])[] = [
  ['flac', 'FLAC, 16 bits'],
  ['wav', 'WAV, 16 bits'],
  ['wav24', 'WAV, 24 bits'],
  ['wav32f', 'WAV, 32 bits float'],
  ['mp3', 'MP3'],
  ['m4a', 'AAC (.m4a)'],
  ['opus', 'Opus'],
  ['alac16', 'Apple Lossless, 16 bits'],
  ['alac24', 'Apple Lossless, 24 bits'],
]

/** A format's ending, for the names of files. */
export const endingOf = (format: string): string => ({ wav24: 'wav', wav32f: 'wav', alac16: 'm4a', alac24: 'm4a' })[format] ?? format

const short = (value: number): string => String(Math.round(value * 100) / 100)

/** The query of a mix: gains in dB, what is not heard as `mute`, balances, equalisers, and the part that is wanted. */
export function mixQuery(stems: EngineState['stems'], separation: string, region: Region | null): URLSearchParams {
  const query = new URLSearchParams({ separation })
  for (const [name, { gain, pan, eq }] of Object.entries(stems)) {
    if (!isHeard(stems, name) || gain <= -60) {
      query.set(name, 'mute')
      continue
    }
    if (gain !== 0) query.set(name, short(gain))
    if (pan !== 0) query.set(`pan.${name}`, short(pan))
    if (!isEven(eq)) query.set(`eq.${name}`, [eq.low, eq.mid, eq.high].map(short).join(','))
  }
  if (region) {
    query.set('start', region.start.toFixed(4))
    query.set('end', region.end.toFixed(4))
  }
  return query
}

/** What is heard here but will not be in the file, in words; empty where the file will sound as this does. */
export function unsaid(state: Pick<EngineState, 'speed' | 'pitch' | 'volume'>): string {
  const missing = [state.speed !== 1 && 'speed', state.pitch !== 0 && 'pitch', state.volume !== 0 && 'the master volume'].filter((part) => part !== false)
  return missing.length ? `The mix goes into the file; ${listed(missing)} ${missing.length === 1 ? 'stays' : 'stay'} in the player.` : ''
}

/** The mix in words: `All stems as they are`, `Without vocals; drums −3 dB`. */
export function mixWords(stems: EngineState['stems'], decibels: (db: number) => string): string {
  const names = Object.keys(stems)
  const heard = names.filter((name) => isHeard(stems, name) && (stems[name]?.gain ?? 0) > -60)
  if (heard.length === 0) return 'Nothing is heard'
  const silent = names.filter((name) => !heard.includes(name))
  const spoken = (some: readonly string[]) => listed(some.map((name) => name.replaceAll('_', ' ')))
  const which = silent.length === 0 ? 'All stems' : silent.length <= heard.length ? `Without ${spoken(silent)}` : `Only ${spoken(heard)}`
  const gains = heard.filter((name) => stems[name]?.gain !== 0).map((name) => `${name.replaceAll('_', ' ')} ${decibels(stems[name]?.gain ?? 0)}`)
  if (gains.length === 0) return silent.length === 0 ? 'All stems as they are' : which
  return `${which}; ${gains.join(', ')}`
}
