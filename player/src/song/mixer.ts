/** The song that is open: its engine, how it is mixed, and what the user does to it. */

import { createContext, useCallback, useContext, useEffect, useEffectEvent, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { API, errorOf, request, type SongDetail } from '../api/client'
import { ClosedError, PLAIN, type Engine, type EngineState, type StemSettings } from '../engine/types'
import { fetchPart } from '../lib/parts'
import { say } from '../ui/surfaces'
import { Frames } from './frames'
import { recalledMix, rememberMix, settled } from './memory'
import type { Source } from './source'

export interface Mixer {
  readonly engine: Engine
  readonly state: EngineState
  readonly frames: Frames
  readonly source: Source
  seek(seconds: number): void
  toggle(): void
  setStem(name: string, change: Partial<StemSettings>): void
  compare(on: boolean): void
  reset(): void
}

interface StemFacts {
  readonly stems: readonly { readonly sample_rate: number; readonly frames: number }[]
}

async function opened(song: SongDetail, source: Source): Promise<Engine> {
  const [{ openEngine }, facts] = await Promise.all([
    fetchPart(() => import('../engine/index')),
    request<StemFacts>(`${API}/songs/${song.id}/receipt?separation=${source.separation}`),
  ])
  const [first] = facts.stems
  if (!first) throw new Error('this song has no stems')
  const engine = await openEngine({ stems: source.stems, original: source.original, sampleRate: first.sample_rate, samples: first.frames })
  const mix = recalledMix(song.id)
  for (const name of engine.names) engine.setStem(name, settled(mix?.stems[name]))
  engine.setVolume(mix?.volume ?? 0)
  return engine
}

/** Say what went wrong; nothing where the song was left meanwhile. */
function complain(what: string, error: unknown): void {
  if (!(error instanceof ClosedError)) say(`${what}: ${errorOf(error).message}`, { bad: true })
}

interface Opened {
  readonly engine: Engine
  readonly source: Source // what is heard
}

/** Opens the engine for a song's stems, and lets finer ones take their place while it plays. */
export function useEngine(song: SongDetail, source: Source | null): { opened: Opened | null; failure: string | null; again: () => void } {
  const [state, setState] = useState<Opened | null>(null)
  const [failure, setFailure] = useState<string | null>(null)
  const [attempt, setAttempt] = useState(0)
  const coming = useRef<string | null>(null) // the separation that was last sent for
  const there = source !== null
  const open = useEffectEvent(async (): Promise<Opened | null> => {
    coming.current = source?.separation ?? null
    return source && { engine: await opened(song, source), source }
  })

  useEffect(() => {
    if (!there) return
    let [over, own] = [false, null as Engine | null]
    open().then(
      (made) => {
        own = made?.engine ?? null
        if (over) return own?.close()
        setFailure(null)
        setState(made)
      },
      (error: unknown) => !over && setFailure(errorOf(error).message),
    )
    return () => {
      over = true
      own?.close()
      setState(null)
    }
  }, [there, attempt])

  useEffect(() => {
    if (!state || !source || coming.current === source.separation) return
    const { engine, source: before } = state
    coming.current = source.separation
    engine.replace(source.stems, source.original).then(
      () => {
        setState((now) => (now?.engine === engine ? { engine, source } : now))
        if (before.draft && !source.draft) say('The fine stems are here. You are hearing them.')
      },
      (error: unknown) => complain('The new stems could not be opened', error),
    )
  }, [state, source])

  return { opened: state, failure, again: useCallback(() => setAttempt((number) => number + 1), []) }
}

const SAVED_AFTER = 300 // ms

/** What the page does with an engine. */
export function useMixer(song: string, engine: Engine, source: Source): Mixer {
  const state = useSyncExternalStore(
    useCallback((listener) => engine.subscribe(listener), [engine]),
    () => engine.state,
  )
  const frames = useMemo(() => new Frames(engine), [engine])
  useEffect(() => () => frames.stop(), [frames])
  useEffect(() => frames.kick(), [frames, state])
  useEffect(() => {
    const timer = setTimeout(() => rememberMix(song, { volume: state.volume, stems: state.stems }), SAVED_AFTER)
    return () => clearTimeout(timer)
  }, [song, state.volume, state.stems])

  const compare = (on: boolean) => {
    engine.setOriginal(on).catch((error: unknown) => complain('The original could not be opened', error))
  }

  return {
    engine,
    state,
    frames,
    source,
    compare,
    seek(seconds) {
      engine.seek(Math.min(Math.max(0, seconds), engine.duration))
      frames.kick()
    },
    toggle() {
      if (state.status === 'playing' || state.status === 'buffering') engine.pause()
      else engine.play().catch((error: unknown) => say(errorOf(error).message, { bad: true }))
    },
    setStem(name, change) {
      if (state.original !== 'off') compare(false)
      engine.setStem(name, change)
    },
    reset() {
      if (state.original !== 'off') compare(false)
      for (const name of engine.names) engine.setStem(name, PLAIN)
      engine.setVolume(0)
      engine.setSpeed(1)
      engine.setPitch(0)
    },
  }
}

export const MixerContext = createContext<Mixer | null>(null)

export function useMix(): Mixer {
  const mixer = useContext(MixerContext)
  if (!mixer) throw new Error('there is no song open here')
  return mixer
}
