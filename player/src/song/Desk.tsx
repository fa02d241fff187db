/** The mixing desk of a song that is open. */

import { useCallback, useMemo, useState } from 'react'
import { useQueries } from '@tanstack/react-query'
import type { Job, SongDetail } from '../api/client'
import { peaksQuery } from '../api/queries'
import type { Chart } from '../lib/chart'
import { Lanes } from '../drums/Lanes'
import type { Engine } from '../engine/types'
import { roleOf } from '../lib/roles'
import type { Grid } from '../lib/snap'
import { TakeAway } from '../take/TakeAway'
import { Dialog } from '../ui/surfaces'
import { SongHeader } from './SongHeader'
import { Timeline } from './Timeline'
import { Track } from './Track'
import { Transport } from './Transport'
import { MixerContext, useMixer } from './mixer'
import { KEYS, useShortcuts } from './shortcuts'
import type { Source } from './source'
import { whole, type View } from './view'

interface Props {
  song: SongDetail
  job: Job | undefined
  engine: Engine
  source: Source
  chart: Chart | undefined
}

/** Where all of an open song stands. */
export const FRAME = 'mx-auto max-w-[110rem] px-4 pb-28 sm:px-6'

export function Desk({ song, job, engine, source, chart }: Props) {
  const mixer = useMixer(song.id, engine, source)
  const [view, setView] = useState<View>(() => whole(engine.duration))
  const [snap, setSnap] = useState(true)
  const [touched, setChosen] = useState('')
  const chosen = source.stems.find((stem) => stem.name === touched)?.name ?? source.stems[0]?.name ?? ''
  const [open, setOpen] = useState<'take' | 'help' | null>(null)
  const onView = useCallback((next: View) => setView(next), [])
  const period = periodOf(song)
  const grid = useMemo((): Grid => ({ beats: chart?.beats ?? [], period }), [chart, period])
  const scale = useScale(source)
  const height = trackHeight(source.stems.length, chart !== undefined)
  const drums = source.stems.find((stem) => roleOf(stem.name) === 'drums')?.name
  useShortcuts({ mixer, grid, snap, view, onView, chosen, onChoose: setChosen, onHelp: () => setOpen('help') })
  return (
    <MixerContext value={mixer}>
      <div className={FRAME}>
        <SongHeader song={song} job={job} draft={source.draft} onTake={() => setOpen('take')} onReset={mixer.reset} onHelp={() => setOpen('help')} />
        {mixer.state.status === 'failed' && (
          <p role="alert" className="mb-3 rounded-xl border border-bad/40 px-4 py-3 text-bad">
            The sound stopped: {mixer.state.error}. Reload the page to go on.
          </p>
        )}
        <div className={mixer.state.original === 'on' ? 'opacity-60 transition-opacity' : 'transition-opacity'}>
          <Timeline view={view} onView={onView} grid={grid} bars={chart?.bars ?? []} snap={snap}>
            {(width) =>
              source.stems.map((stem, at) => (
                <Track
                  key={stem.name}
                  stem={stem}
                  number={at + 1}
                  view={view}
                  width={width}
                  height={height}
                  scale={scale}
                  chosen={stem.name === chosen}
                  onChoose={() => setChosen(stem.name)}
                >
                  {chart && stem.name === drums && <Lanes chart={chart} stem={stem.name} view={view} width={width} />}
                </Track>
              ))
            }
          </Timeline>
        </div>
      </div>
      <Transport view={view} onView={onView} grid={grid} snap={snap} onSnap={setSnap} />
      <TakeAway song={song} open={open === 'take'} onClose={() => setOpen(null)} />
      <Dialog open={open === 'help'} onClose={() => setOpen(null)} title="Keyboard">
        <Keys />
      </Dialog>
    </MixerContext>
  )
}

function Keys() {
  return (
    <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-2.5">
      {KEYS.map(([keys, text]) => (
        <div key={keys} className="contents">
          <dt>
            <kbd className="rounded-md border border-line bg-sunk px-2 py-0.5 font-sans text-sm whitespace-nowrap">{keys}</kbd>
          </dt>
          <dd className="text-soft">{text}</dd>
        </div>
      ))}
    </dl>
  )
}

/** Seconds between two beats by the song's tempo; null where none is known. */
function periodOf(song: SongDetail): number | null {
  const tempo = song.analysis?.tempo
  return tempo?.bpm ? 60 / tempo.bpm : null
}

/** One scale for all stems, so that the louder one looks louder. */
function useScale(source: Source): number {
  const highest = useQueries({
    queries: source.stems.map((stem) => peaksQuery(stem.peaks)),
    combine: (results) => results.reduce((most, { data }) => Math.max(most, data?.highest ?? 0), 0),
  })
  return highest > 0.02 ? 0.98 / highest : 1
}

/** Height of a waveform, CSS pixels: generous, and all stems in sight where that is possible. */
function trackHeight(stems: number, charted: boolean): number {
  if (matchMedia('(max-width: 1023px)').matches) return 64
  const room = window.innerHeight - (charted ? 470 : 290)
  return Math.max(76, Math.min(132, Math.floor(room / Math.max(1, stems)) - 14))
}
