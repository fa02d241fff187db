/** The drum chart under the drum stem's waveform: eight lanes, in time with it. */

import { ChevronDown } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { count, label } from '../lib/format'
import { useTheme } from '../lib/theme'
import { Segments } from '../ui/controls'
import { useMix } from '../song/mixer'
import type { View } from '../song/view'
import { shape, shortLane, within, type Chart } from '../lib/chart'
import { Drummer } from './drummer'

const LANE = 16 // CSS pixels
const NARROWEST = 2.5 // of a hit
const ORDER: readonly number[] = [6, 7, 2, 3, 4, 1, 5, 0] // from above, as a kit stands: cymbals, toms, snare, kick

type Heard = 'stem' | 'both' | 'midi'

interface Props {
  chart: Chart
  stem: string
  view: View
  width: number
}

export function Lanes({ chart, stem, view, width }: Props) {
  const [open, setOpen] = useState(true)
  return (
    <div className="pb-3">
      <div className="flex min-h-9 flex-wrap items-center gap-x-4 gap-y-1 text-sm text-faint">
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className="inline-flex h-8 items-center gap-1.5 rounded-full pr-2 hover:text-ink">
          <ChevronDown size={16} aria-hidden className={`transition-transform ${open ? '' : '-rotate-90'}`} />
          Drum chart
        </button>
        <span className="tabular max-sm:order-1 max-sm:basis-full max-sm:pb-1 max-sm:pl-5.5">
          {chart.onsets.length === 0 ? 'no hits were found' : count(chart.onsets.length, 'hit')}
        </span>
        <HearKit chart={chart} stem={stem} />
      </div>
      {open && (
        <div className="relative">
          <Hits chart={chart} view={view} width={width} />
          <ul aria-label="Hits on each lane" className="pointer-events-none absolute inset-y-0 left-0 z-10 lg:right-full lg:left-auto lg:pr-5">
            {ORDER.map((lane) => {
              const type = chart.lanes.find((one) => one.lane === lane)?.type ?? ''
              return (
                <li key={lane} style={{ height: LANE }} className="flex items-center text-[11px] leading-none whitespace-nowrap text-faint lg:justify-end">
                  <span aria-hidden className="rounded-r bg-canvas/80 pr-1 lg:hidden">
                    {shortLane(type)}
                  </span>
                  <span className="max-lg:sr-only">{label(type)}</span>
                  <span className="sr-only">: {count(chart.onsets.filter((hit) => hit.lane === lane).length, 'hit')}</span>
                </li>
              )
            })}
          </ul>
        </div>
      )}
    </div>
  )
}

/** The stem, the chart on a small kit, or both. */
function HearKit({ chart, stem }: { chart: Chart; stem: string }) {
  const { engine, setStem } = useMix()
  const [heard, setHeard] = useState<Heard>('stem')
  useEffect(() => {
    if (heard === 'stem') return
    const drummer = new Drummer(engine, chart)
    return () => drummer.close()
  }, [engine, chart, heard])
  const hear = (next: Heard) => {
    if ((next === 'midi') !== (heard === 'midi')) setStem(stem, { mute: next === 'midi' })
    setHeard(next)
  }
  return (
    <Segments
      label="Which drums are heard"
      value={heard}
      options={[
        ['stem', 'Stem'],
        ['both', 'Both'],
        ['midi', 'MIDI'],
      ]}
      onChange={hear}
      className="ml-auto"
    />
  )
}

function Hits({ chart, view, width }: { chart: Chart; view: View; width: number }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const theme = useTheme()
  const { start, span } = view
  useEffect(() => {
    const box = canvas.current
    const pen = box?.getContext('2d')
    if (!box || !pen || width <= 0) return
    const ratio = Math.min(3, window.devicePixelRatio || 1)
    box.width = Math.round(width * ratio)
    box.height = Math.round(ORDER.length * LANE * ratio)
    pen.scale(ratio, ratio)
    const style = getComputedStyle(box)
    pen.fillStyle = style.getPropertyValue('--line')
    for (const bar of chart.bars) pen.fillRect(((bar - start) / span) * width, 0, 1, ORDER.length * LANE)
    for (let row = 1; row <= ORDER.length; row += 1) pen.fillRect(0, row * LANE - 0.5, width, 0.5)
    pen.fillStyle = style.color
    const wide = Math.max(NARROWEST, Math.min(8, (0.03 / span) * width))
    const [first, last] = within(chart.onsets, start - 0.1, start + span)
    for (const hit of chart.onsets.slice(first, last)) {
      const { height, opacity } = shape(hit)
      const tall = height * (LANE - 4)
      pen.globalAlpha = opacity
      pen.beginPath()
      pen.roundRect(((hit.time - start) / span) * width, (ORDER.indexOf(hit.lane) + 1) * LANE - 2 - tall, wide, tall, 1)
      pen.fill()
    }
  }, [chart, start, span, width, theme])
  return <canvas ref={canvas} data-wave aria-hidden className="block w-full touch-pan-y" style={{ height: ORDER.length * LANE, color: 'var(--role-drums)' }} />
}
