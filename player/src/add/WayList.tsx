/** The ways of taking a song apart, to choose one: the usual ones first, behind them all of them, to search in. */

import { ChevronRight, Download, Search, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import { needOf, timeOf, waysFor, type Way } from '../api/ways'
import { label } from '../lib/format'
import { colourOf } from '../lib/roles'
import { FIELD } from '../ui/controls'

const MAIN = 5 // ways that are in sight

interface Props {
  ways: readonly Way[]
  chosen: Way
  onChoose: (strategy: string) => void
  seconds: number // of song
}

export function WayList({ ways, chosen, onChoose, seconds }: Props) {
  const [all, setAll] = useState(false)
  const [search, setSearch] = useState('')
  const shown = all ? waysFor(ways, search) : ways.filter((way, at) => at < MAIN || way === chosen)
  return (
    <>
      {all && (
        <div className="relative mb-2">
          <Search size={16} aria-hidden className="absolute top-3 left-3 text-faint" />
          <input type="search" aria-label="Search ways" placeholder={`Search ${ways.length} ways, by name or by stem`} value={search} onChange={(event) => setSearch(event.target.value)} className={`${FIELD} pl-9`} />
        </div>
      )}
      <div role="radiogroup" aria-label="How fine?" className={`rounded-card border border-line bg-surface ${all ? 'h-104 overflow-y-auto overscroll-contain' : 'overflow-hidden'}`}>
        {shown.map((way) => (
          <WayRow key={way.strategy} way={way} chosen={way === chosen} onChoose={onChoose} seconds={seconds} />
        ))}
        {shown.length === 0 && <p className="px-4 py-3 text-sm text-faint">No way like that.</p>}
      </div>
      <button
        type="button"
        aria-expanded={all}
        onClick={() => setAll(!all)}
        className="mt-2 inline-flex h-9 items-center gap-1.5 rounded-full pr-3 text-sm text-soft hover:text-ink"
      >
        <ChevronRight size={16} aria-hidden className={`transition-transform ${all ? 'rotate-90' : ''}`} />
        {all ? 'Fewer ways' : 'Karaoke, drums only, and every model'}
      </button>
    </>
  )
}

function WayRow({ way, chosen, onChoose, seconds }: { way: Way; chosen: boolean; onChoose: (strategy: string) => void; seconds: number }) {
  const need = needOf(way)
  const time = timeOf(way, seconds)
  return (
    <label className="flex cursor-pointer items-start gap-4 border-b border-line px-4 py-3.5 transition-colors last:border-b-0 hover:bg-raised has-checked:bg-raised has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-ink">
      <input type="radio" name="way-of-separating" value={way.strategy} checked={chosen} onChange={() => onChoose(way.strategy)} className="mt-1.5 size-4 shrink-0 accent-ink" />
      <span className="min-w-0 grow">
        <span className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5">
          <span className="font-medium">{way.title}</span>
          <Stems names={way.stems} />
        </span>
        <span className="block text-sm text-soft">{way.gives}</span>
        <span className="tabular flex flex-wrap items-center gap-x-3 text-sm text-faint">
          <span title={way.pace === null ? 'Not measured on this machine yet' : 'As measured on this machine'}>
            {time.charAt(0).toUpperCase() + time.slice(1)} {way.pace === null ? 'on a usual laptop' : 'here'}
          </span>
          {need && (
            <span className={`inline-flex items-center gap-1.5 ${way.state === 'missing' ? 'text-warn' : ''}`}>
              {way.state === 'missing' ? <TriangleAlert size={13} aria-hidden /> : <Download size={13} aria-hidden />} {need}
            </span>
          )}
          {way.facts && <span>{way.facts}</span>}
        </span>
      </span>
    </label>
  )
}

function Stems({ names }: { names: readonly string[] }) {
  return (
    <span className="flex flex-wrap items-center gap-x-2.5 text-sm text-faint">
      {names.map((name) => (
        <span key={name} className="inline-flex items-center gap-1.5">
          <span className="size-2 rounded-full" style={{ background: colourOf(name) }} />
          {label(name).toLowerCase()}
        </span>
      ))}
    </span>
  )
}
