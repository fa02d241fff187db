/** What is always at hand while a song is open: play, loop, original, speed and pitch, zoom, volume. */

import { Gauge, Magnet, Maximize2, Pause, Play, Repeat, SkipBack, Volume1, Volume2, VolumeX, ZoomIn, ZoomOut } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { clock, decibels, SILENT } from '../lib/format'
import { firstLoop, type Grid } from '../lib/snap'
import { Button, Key, Segments, Slider, Toggle } from '../ui/controls'
import { Popover } from '../ui/surfaces'
import { Meter } from './Track'
import { useMix, type Mixer } from './mixer'
import { whole, zoomed, type View } from './view'

interface Props {
  view: View
  onView: (view: View) => void
  grid: Grid
  snap: boolean
  onSnap: (snap: boolean) => void
}

/** Sets a loop where one is, or takes it away. */
export function toggleLoop({ engine, state }: Mixer, grid: Grid): void {
  engine.setLoop(state.loop ? null : firstLoop(engine.position(), grid, engine.duration))
}

export function Transport({ view, onView, grid, snap, onSnap }: Props) {
  const mixer = useMix()
  const { engine, state, source, compare } = mixer
  const comparing = state.original !== 'off'
  const original = state.original === 'opening' ? 'Opening…' : 'Original'
  const playing = state.status === 'playing' || state.status === 'buffering'
  const zoom = (factor: number) => onView(zoomed(view, factor, engine.position(), engine.duration))
  const known = grid.beats.length > 0 || grid.period !== null
  return (
    <div className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-canvas/95 pb-[env(safe-area-inset-bottom)] backdrop-blur-md">
      <div className="mx-auto flex h-18 max-w-[110rem] items-center gap-1 px-3 sm:gap-2 sm:px-6">
        <Key aria-label="Back to the start" title="Back to the start (Home)" className="max-sm:hidden" onClick={() => mixer.seek(state.loop?.start ?? 0)}>
          <SkipBack size={19} aria-hidden fill="currentColor" />
        </Key>
        <Key
          aria-label={playing ? 'Pause' : 'Play'}
          title={playing ? 'Pause (space)' : 'Play (space)'}
          disabled={state.status === 'failed'}
          onClick={mixer.toggle}
          className="size-12! bg-accent text-on-accent! hover:bg-accent! hover:opacity-88"
        >
          {playing ? <Pause size={21} aria-hidden fill="currentColor" /> : <Play size={21} aria-hidden fill="currentColor" className="ml-0.5" />}
        </Key>
        <Time buffering={state.status === 'buffering'} />
        <div className="mx-1 flex items-center gap-1 sm:mx-3">
          <Toggle on={state.loop !== null} aria-label="Loop" title="Loop (L); drag on the times above to set it" className="size-10 rounded-full!" onClick={() => toggleLoop(mixer, grid)}>
            <Repeat size={18} aria-hidden />
          </Toggle>
          <Toggle quiet on={snap && known} disabled={!known} aria-label="Snap loops to beats" title={known ? 'Snap loops to beats' : 'No tempo is known for this song'} className="size-10 rounded-full! max-sm:hidden" onClick={() => onSnap(!snap)}>
            <Magnet size={17} aria-hidden />
          </Toggle>
        </div>
        <Segments
          label="What is heard"
          value={comparing ? 'original' : 'mix'}
          options={[
            ['mix', 'Your mix'],
            ['original', original],
          ]}
          title={source.original ? 'The recording, as loud as your mix (O)' : 'All stems as they were made, as loud as your mix: the recording is not here (O)'}
          onChange={(heard) => compare(heard === 'original')}
          className="max-md:hidden"
        />
        <Toggle quiet on={comparing} aria-label="Hear the original" className="h-10 rounded-full! px-3 text-sm md:hidden" onClick={() => compare(!comparing)}>
          {original}
        </Toggle>
        <div className="ml-auto flex items-center gap-1 sm:gap-2">
          <div className="flex max-lg:hidden">
            <Key aria-label="Zoom out" title="Zoom out (−)" onClick={() => zoom(0.5)}>
              <ZoomOut size={18} aria-hidden />
            </Key>
            <Key aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoom(2)}>
              <ZoomIn size={18} aria-hidden />
            </Key>
            <Key aria-label="Whole song" title="Whole song (F)" onClick={() => onView(whole(engine.duration))} disabled={view.span >= engine.duration}>
              <Maximize2 size={16} aria-hidden />
            </Key>
          </div>
          <Tempo period={grid.period} />
          <Volume />
        </div>
      </div>
    </div>
  )
}

function Time({ buffering }: { buffering: boolean }) {
  const { engine, frames } = useMix()
  const text = useRef<HTMLSpanElement>(null)
  useEffect(() => frames.add((position) => text.current && (text.current.textContent = clock(position, true))), [frames])
  return (
    <p className="tabular w-32 shrink-0 px-2 whitespace-nowrap sm:w-40">
      <span ref={text} data-testid="time" className="font-medium">
        0:00.0
      </span>
      <span className="text-sm text-faint"> / {clock(engine.duration)}</span>
      <span role="status" className="block h-4 text-xs leading-4 text-faint empty:hidden">
        {buffering ? 'Loading …' : ''}
      </span>
    </p>
  )
}

/** Speed and pitch. */
function Tempo({ period }: { period: number | null }) {
  const { engine, state } = useMix()
  const { speed, pitch } = state
  const changed = speed !== 1 || pitch !== 0
  const percent = Math.round(speed * 100)
  const tones = `${pitch > 0 ? '+' : pitch < 0 ? '−' : ''}${Math.abs(pitch)}`
  const trigger = (
    <Button title="Speed and pitch" className="relative px-3!">
      <Gauge size={18} aria-hidden />
      {changed && <span aria-hidden className="absolute top-1.5 right-1.5 size-1.5 rounded-full bg-ink sm:hidden" />}
      <span className="sr-only">Speed and pitch: </span>
      <span className="tabular text-sm max-sm:sr-only">
        {percent} %{pitch !== 0 && ` · ${tones}`}
      </span>
    </Button>
  )
  return (
    <Popover trigger={trigger} label="Speed and pitch">
      <div className="w-64">
        <Line name="Speed" value={period === null ? `${percent} %` : `${percent} % · ${Math.round((60 / period) * speed)} BPM`} />
        <Slider label="Speed" value={speed} onChange={(value) => engine.setSpeed(value)} min={0.5} max={1.5} step={0.01} rest={1} origin={1} text={`${percent} percent`} />
        <Line name="Pitch" value={pitch === 0 ? 'as it is' : `${tones} semitone${Math.abs(pitch) === 1 ? '' : 's'}`} />
        <Slider label="Pitch" value={pitch} onChange={(value) => engine.setPitch(Math.round(value))} min={-12} max={12} step={1} rest={0} origin={0} text={`${tones} semitones`} />
        <Button
          size="small"
          className="mt-2 w-full"
          disabled={!changed}
          onClick={() => {
            engine.setSpeed(1)
            engine.setPitch(0)
          }}
        >
          As it was recorded
        </Button>
      </div>
    </Popover>
  )
}

function Line({ name, value }: { name: string; value: string }) {
  return (
    <p className="flex justify-between text-sm">
      <span>{name}</span>
      <span className="tabular text-faint">{value}</span>
    </p>
  )
}

function Volume() {
  const { engine, state } = useMix()
  const { volume } = state
  const Icon = volume <= SILENT ? VolumeX : volume < -12 ? Volume1 : Volume2
  return (
    <div className="flex items-center gap-2 max-sm:hidden">
      <Icon size={18} aria-hidden className="text-soft" />
      <div className="w-28">
        <Slider label="Volume" value={volume} onChange={(value) => engine.setVolume(value)} min={SILENT} max={6} step={0.5} rest={0} text={decibels(volume)} className="-mb-2" />
        <Meter stem="master" colour="var(--soft)" />
      </div>
    </div>
  )
}
