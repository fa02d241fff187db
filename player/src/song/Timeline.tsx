/** The song in time: an overview, a ruler, the stems' waveforms, one playhead over all, and the loop. */

import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState, type PointerEvent, type ReactNode, type RefObject } from 'react'
import { usePeaksTogether } from '../api/queries'
import type { Region } from '../engine/types'
import { clock } from '../lib/format'
import { before, fit, type Grid } from '../lib/snap'
import { momentAt, Scrub } from './Scrub'
import { useMix } from './mixer'
import { Waveform } from './Waveform'
import { fitted, following, shows, ticks, zoomed, type View } from './view'

interface Props {
  view: View
  onView: (view: View) => void
  grid: Grid
  bars: readonly number[]
  snap: boolean
  children: (width: number) => ReactNode
}

export function Timeline({ view, onView, grid, bars, snap, children }: Props) {
  const { engine, frames, state } = useMix()
  const lane = useRef<HTMLDivElement>(null)
  const head = useRef<HTMLDivElement>(null)
  const width = useWidth(lane)
  useWheel(lane, view, onView, engine.duration)

  useEffect(() => {
    let turned = view
    let seen = shows(view, engine.position()) // who has looked elsewhere stays there
    return frames.add((position) => {
      const next = seen ? following(turned, position, engine.duration) : turned
      if (next !== turned) onView((turned = next))
      seen = shows(turned, position)
      const at = ((position - turned.start) / turned.span) * width
      if (!head.current) return
      head.current.style.transform = `translateX(${at}px)`
      head.current.style.visibility = at >= -1 && at <= width + 1 ? 'visible' : 'hidden'
    })
  }, [frames, engine, view, width, onView])

  return (
    <div className="relative [--head:17rem]">
      <Overview view={view} onView={onView} />
      <Ruler view={view} width={width} grid={grid} bars={bars} snap={snap} />
      <div className="relative">
        <Scrub view={view} onView={onView}>
          {children(width)}
        </Scrub>
        <div ref={lane} className="pointer-events-none absolute inset-y-0 right-0 left-0 overflow-hidden lg:left-(--head)">
          <LoopShade view={view} loop={state.loop} />
          <div ref={head} data-testid="playhead" className="absolute inset-y-0 left-0 w-px bg-ink">
            <span className="absolute -left-1.25 top-0 size-2.75 rounded-full bg-ink" />
          </div>
        </div>
      </div>
    </div>
  )
}

function useWidth(box: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    if (!box.current) return
    const watcher = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width))
    watcher.observe(box.current)
    return () => watcher.disconnect()
  }, [box])
  return width
}

/** Pinching (or Ctrl and the wheel) zooms around the pointer, a sideways wheel moves. */
function useWheel(lane: RefObject<HTMLElement | null>, view: View, onView: (view: View) => void, duration: number): void {
  const turn = useEffectEvent((event: WheelEvent) => {
    const area = lane.current?.getBoundingClientRect()
    if (!area) return
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault()
      const at = view.start + ((event.clientX - area.left) / area.width) * view.span
      onView(zoomed(view, Math.exp(-event.deltaY * 0.008), at, duration))
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && view.span < duration) {
      event.preventDefault()
      onView(fitted({ ...view, start: view.start + (event.deltaX / area.width) * view.span }, duration))
    }
  })
  useEffect(() => {
    const box = lane.current?.parentElement
    const listener = (event: WheelEvent) => turn(event)
    box?.addEventListener('wheel', listener, { passive: false })
    return () => box?.removeEventListener('wheel', listener)
  }, [lane])
}

/** The whole song, small: where one is in it, and what is in sight. */
function Overview({ view, onView }: { view: View; onView: (view: View) => void }) {
  const { engine, frames, source, state, seek } = useMix()
  const peaks = usePeaksTogether(source.stems.map((stem) => stem.peaks))
  const box = useRef<HTMLDivElement>(null)
  const head = useRef<HTMLDivElement>(null)
  const down = useRef(false)
  const width = useWidth(box)
  const { duration } = engine
  const all = { start: 0, span: duration }
  useEffect(() => {
    let said = -1
    return frames.add((position) => {
      if (head.current) head.current.style.transform = `translateX(${(position / duration) * width}px)`
      if (Math.floor(position) === said || !box.current) return
      said = Math.floor(position)
      box.current.setAttribute('aria-valuenow', String(said))
      box.current.setAttribute('aria-valuetext', `${clock(position)} of ${clock(duration)}`)
    })
  }, [frames, duration, width])
  const reach = (event: PointerEvent<HTMLDivElement>) => {
    const at = momentAt(event.clientX, event.currentTarget, all)
    seek(at)
    if (view.span < duration) onView(fitted({ start: at - view.span / 2, span: view.span }, duration))
  }
  return (
    <div className="py-2 lg:pl-(--head)">
      <div
        ref={box}
        role="slider"
        tabIndex={0}
        aria-label="Position in the song"
        aria-valuemin={0}
        aria-valuemax={Math.floor(duration)}
        aria-valuenow={0}
        className="relative cursor-pointer touch-pan-y overflow-hidden rounded-lg bg-surface text-faint select-none"
        onPointerDown={(event) => {
          down.current = true
          event.currentTarget.setPointerCapture(event.pointerId)
          reach(event)
        }}
        onPointerMove={(event) => down.current && reach(event)}
        onPointerUp={() => (down.current = false)}
      >
        <Waveform peaks={peaks} view={all} width={width} height={40} scale={0.95 / (peaks?.highest || 1)} colour="var(--strong)" />
        {view.span < duration && <Window view={view} duration={duration} />}
        <LoopShade view={all} loop={state.loop} />
        <div ref={head} className="absolute inset-y-0 left-0 w-px bg-ink" />
      </div>
    </div>
  )
}

function Window({ view, duration }: { view: View; duration: number }) {
  const [left, right] = [(view.start / duration) * 100, 100 - ((view.start + view.span) / duration) * 100]
  return <div className="absolute inset-y-0 rounded-lg border border-soft bg-ink/5" style={{ left: `${left}%`, right: `${right}%` }} />
}

function LoopShade({ view, loop, grips = false }: { view: View; loop: Region | null; grips?: boolean }) {
  if (!loop) return null
  const part = (time: number) => ((time - view.start) / view.span) * 100
  const edges = { left: `${part(loop.start)}%`, width: `${part(loop.end) - part(loop.start)}%` }
  return (
    <div data-testid="loop" className="absolute inset-y-0 border-x border-ink/60 bg-ink/8" style={edges}>
      {grips && ['-left-1.5', '-right-1.5'].map((side) => <span key={side} className={`absolute inset-y-2 w-3 cursor-ew-resize rounded-full border-[3.5px] border-transparent bg-ink bg-clip-padding ${side}`} />)}
    </div>
  )
}

const ROOM = 84 // CSS pixels for a time on the ruler

type Drag = { kind: 'new'; from: number; moved: boolean } | { kind: 'start' | 'end'; other: number }

/** Times and bars. A drag makes a loop, its ends can be moved; a click goes there. */
function Ruler({ view, width, grid, bars, snap }: { view: View; width: number; grid: Grid; bars: readonly number[]; snap: boolean }) {
  const { engine, state, seek } = useMix()
  const drag = useRef<Drag | null>(null)
  const { duration } = engine
  const { step, times } = ticks(view, Math.max(2, width / ROOM))
  const share = (time: number) => `${((time - view.start) / view.span) * 100}%`
  const setLoop = (region: Region) => engine.setLoop(fit(region, grid, snap, duration))

  const begin = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return
    const at = momentAt(event.clientX, event.currentTarget, view)
    const edge = ((event.pointerType === 'mouse' ? 6 : 18) / Math.max(1, width)) * view.span
    const { loop } = state
    event.currentTarget.setPointerCapture(event.pointerId)
    if (loop && Math.abs(at - loop.start) < edge) drag.current = { kind: 'start', other: loop.end }
    else if (loop && Math.abs(at - loop.end) < edge) drag.current = { kind: 'end', other: loop.start }
    else drag.current = { kind: 'new', from: at, moved: false }
  }
  const move = (event: PointerEvent<HTMLDivElement>) => {
    const now = drag.current
    if (!now) return
    const at = momentAt(event.clientX, event.currentTarget, view)
    if (now.kind !== 'new') setLoop({ start: now.other, end: at })
    else if (now.moved || Math.abs(at - now.from) > (5 / Math.max(1, width)) * view.span) {
      now.moved = true
      setLoop({ start: now.from, end: at })
    }
  }
  const end = () => {
    if (drag.current?.kind === 'new' && !drag.current.moved) seek(drag.current.from)
    drag.current = null
  }
  const shown = visibleBars(bars, view, width)
  return (
    <div className="lg:pl-(--head)">
      <div
        data-testid="ruler"
        title="Drag to loop, click to go there"
        className="tabular relative h-8 cursor-text touch-pan-y overflow-hidden border-b border-line text-xs text-faint select-none"
        onPointerDown={begin}
        onPointerMove={move}
        onPointerUp={end}
        onPointerCancel={() => (drag.current = null)}
      >
        {shown.map((bar) => (
          <span key={bar} className="absolute bottom-0 h-1.5 w-px bg-strong" style={{ left: share(bar) }} />
        ))}
        {times.filter((time) => (1 - (time - view.start) / view.span) * width > 34).map((time) => (
          <span key={time} className="absolute top-1.5 pl-1" style={{ left: share(time) }}>
            {clock(time, step < 1)}
          </span>
        ))}
        <LoopShade view={view} loop={state.loop} grips />
      </div>
    </div>
  )
}

/** Bar lines that are in sight, unless they would crowd. */
function visibleBars(bars: readonly number[], view: View, width: number): number[] {
  const seen = bars.slice(Math.max(0, before(bars, view.start)), before(bars, view.start + view.span) + 1)
  return seen.length * 6 > width ? [] : seen
}
