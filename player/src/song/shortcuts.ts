/** The keyboard, while a song is open. */

import { useEffect, useEffectEvent } from 'react'
import { SILENT } from '../lib/format'
import { edged, fit, type Grid } from '../lib/snap'
import { toggleLoop } from './Transport'
import type { Mixer } from './mixer'
import { whole, zoomed, type View } from './view'

export const KEYS: readonly (readonly [string, string])[] = [
  ['Space', 'Play, pause'],
  ['← →', 'Five seconds back, forward; with Shift one'],
  ['↑ ↓', 'Louder, softer'],
  ['Home', 'To the start, or the loop’s'],
  ['1 – 8', 'Solo a stem; with Shift mute it'],
  ['M', 'Mute the stem that was touched last'],
  ['L', 'Loop four bars from here, or no loop'],
  ['A B', 'Loop from here, to here'],
  ['O', 'Original, your mix'],
  ['+ − F', 'Zoom in, out, the whole song'],
  ['?', 'This list'],
]

interface Desk {
  readonly mixer: Mixer
  readonly grid: Grid
  readonly snap: boolean
  readonly view: View
  readonly onView: (view: View) => void
  readonly chosen: string
  readonly onChoose: (stem: string) => void
  readonly onHelp: () => void
}

/** Whether a key belongs to what has the focus: text, faders, menus, buttons that the space bar presses. */
function taken(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true
  const focus = event.target instanceof Element ? event.target : null
  if (focus?.closest('input:not([type=range]), textarea, select, [contenteditable], [role=menu], [role=dialog]')) return true
  if (event.key.startsWith('Arrow') || event.key === 'Home') return focus?.closest('input, [role=radiogroup]') !== null && focus !== null
  return event.key === ' ' && focus?.closest('button, a, summary, label') != null
}

function setEdge({ mixer, grid, snap }: Desk, edge: 'start' | 'end'): void {
  const { engine, state } = mixer
  engine.setLoop(fit(edged(edge, engine.position(), state.loop, grid, engine.duration), grid, snap, engine.duration))
}

const ACTIONS: Readonly<Record<string, (desk: Desk, event: KeyboardEvent) => void>> = {
  ' ': ({ mixer }) => mixer.toggle(),
  ArrowLeft: ({ mixer }, { shiftKey }) => mixer.seek(mixer.engine.position() - (shiftKey ? 1 : 5)),
  ArrowRight: ({ mixer }, { shiftKey }) => mixer.seek(mixer.engine.position() + (shiftKey ? 1 : 5)),
  ArrowUp: ({ mixer }) => mixer.engine.setVolume(Math.min(6, mixer.state.volume + 1)),
  ArrowDown: ({ mixer }) => mixer.engine.setVolume(Math.max(SILENT, mixer.state.volume - 1)),
  Home: ({ mixer }) => mixer.seek(mixer.state.loop?.start ?? 0),
  m: ({ mixer, chosen }) => mixer.setStem(chosen, { mute: !mixer.state.stems[chosen]?.mute }),
  l: ({ mixer, grid }) => toggleLoop(mixer, grid),
  a: (desk) => setEdge(desk, 'start'),
  b: (desk) => setEdge(desk, 'end'),
  o: ({ mixer }) => mixer.compare(mixer.state.original === 'off'),
  '+': ({ mixer, view, onView }) => onView(zoomed(view, 2, mixer.engine.position(), mixer.engine.duration)),
  '=': ({ mixer, view, onView }) => onView(zoomed(view, 2, mixer.engine.position(), mixer.engine.duration)),
  '-': ({ mixer, view, onView }) => onView(zoomed(view, 0.5, mixer.engine.position(), mixer.engine.duration)),
  f: ({ mixer, onView }) => onView(whole(mixer.engine.duration)),
  '?': ({ onHelp }) => onHelp(),
}

function onDigit({ mixer, onChoose }: Desk, event: KeyboardEvent): boolean {
  const number = /^Digit([1-8])$/.exec(event.code)?.[1]
  const stem = number && mixer.source.stems[Number(number) - 1]?.name
  if (!stem) return false
  const { mute = false, solo = false } = mixer.state.stems[stem] ?? {}
  mixer.setStem(stem, event.shiftKey ? { mute: !mute } : { solo: !solo })
  onChoose(stem)
  return true
}

export function useShortcuts(desk: Desk): void {
  const press = useEffectEvent((event: KeyboardEvent) => {
    if (taken(event)) return
    const action = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (action) action(desk, event)
    else if (!onDigit(desk, event)) return
    event.preventDefault()
  })
  useEffect(() => {
    const listener = (event: KeyboardEvent) => press(event)
    addEventListener('keydown', listener)
    return () => removeEventListener('keydown', listener)
  }, [])
}
