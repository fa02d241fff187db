/** The ways of taking a song apart: what each gives, what it costs here, what it needs. */

import type { ModelList, Strategy } from './client'
import { bytes, lasting } from '../lib/format'

export interface Way {
  readonly strategy: string
  readonly title: string
  readonly gives: string
  readonly stems: readonly string[]
  readonly draft: boolean
  readonly state: 'ready' | 'download' | 'missing'
  readonly download: number // bytes; 0 where that is not known
  readonly pace: number | null // seconds of work for a second of song, measured here
  readonly usual: number // the same on a usual laptop
  readonly facts: string // licence and published quality of a single model
}

/** The presets in a musician's words, in the order of their price. */
const PRESETS: Readonly<Record<string, readonly [title: string, gives: string, usual: number]>> = {
  fast: ['Draft', 'Four rough stems at once: to find a part, to practise, to try things.', 0.1],
  quick: ['Quick', 'A good voice within seconds; drums, bass and the rest are rough.', 0.15],
  balanced: ['Fine', 'Four clean stems by the best single network. Right for most songs.', 0.6],
  best: ['Finest', 'A network tuned for each stem, averaged with another: for what you will publish.', 3.0],
  six: ['Six stems', 'Guitar and piano too. The guitar is fair, the piano is poor.', 1.8],
  karaoke: ['Karaoke', 'The voice, and the song without it. Backing vocals go with the voice.', 0.9],
  drums: ['Drums', 'The drums, and the song without them to play along with.', 0.9],
  successive: ['One by one', 'One stem after the other, each out of what is left: less of one in the next.', 2.7],
}
const USUAL: Readonly<Record<string, number>> = { sketch: 0.1, spleeter: 0.1, demucs: 0.6 }

const BY_STATE: readonly Way['state'][] = ['ready', 'download', 'missing']

/** All ways that the studio offers: presets first, then its own strategies, then single models, those that are here before the others. */
export function waysOf(strategies: readonly Strategy[], models: ModelList): Way[] {
  const drafts = new Set(models.items.filter((one) => one.draft).map((one) => one.name))
  const order = Object.keys(PRESETS)
  const rank = (one: Strategy) => (one.name in PRESETS ? order.indexOf(one.name) : order.length)
  const trees = strategies.toSorted((a, b) => rank(a) - rank(b)).map((one): Way => {
    const [title, gives, usual] = PRESETS[one.name] ?? [one.name, said(one.summary), 1]
    const draft = one.models.some((model) => drafts.has(model.name))
    return { ...common(one.name, title, gives, one), draft, state: one.state, download: one.download_bytes, usual, facts: '' }
  })
  const single = models.items.map(
    (one): Way => ({
      ...common(one.name, one.name, said(one.summary), one),
      draft: one.draft,
      state: one.availability,
      download: one.download_bytes,
      usual: USUAL[one.family] ?? 1,
      facts: [`Licence: ${one.licence}`, one.sdr && `SDR ${one.sdr} dB`].filter(Boolean).join(' · '),
    }),
  )
  return [...trees, ...single.toSorted((a, b) => BY_STATE.indexOf(a.state) - BY_STATE.indexOf(b.state))]
}

function common(strategy: string, title: string, gives: string, one: { stems: string[]; seconds_per_second: number | null }) {
  return { strategy, title, gives, stems: one.stems, pace: one.seconds_per_second }
}

const said = (summary: string): string => (summary ? `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.` : '')

/** The ways that have all words of a search in their names or stems. */
export function waysFor(ways: readonly Way[], search: string): Way[] {
  const words = search.toLowerCase().split(/\s+/)
  return ways.filter((way) => {
    const text = [way.title, way.gives, ...way.stems.map((stem) => stem.replaceAll('_', ' '))].join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** What must be had before a way can be gone, in a few words; empty where nothing must. */
export function needOf(way: Way): string {
  if (way.state === 'missing') return 'Not installed here: see “Models” in the README'
  if (way.state === 'ready') return ''
  return way.download ? `Downloads ${bytes(way.download)} once` : 'Downloads its weights once'
}

export const USUAL_LENGTH = 210 // seconds of a song whose length is not known

/** How long a way takes for some seconds of song, in words. */
export function timeOf(way: Way, seconds: number): string {
  return lasting((way.pace ?? way.usual) * seconds)
}

/** The way that is chosen unless the user does: the fine one where it is here or can be had, else the best that is here. */
export function defaultWay(ways: readonly Way[]): Way | undefined {
  const fine = ways.find((way) => way.strategy === 'balanced' && way.state !== 'missing')
  const ready = (name: string) => ways.find((way) => way.strategy === name && way.state === 'ready')
  return fine ?? ready('quick') ?? ready('fast') ?? ways.find((way) => way.state === 'ready') ?? ways[0]
}
