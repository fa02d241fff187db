/** Songs to take apart: which way, and with what beside. */

import { ChevronRight } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useWays } from '../api/queries'
import { defaultWay, USUAL_LENGTH, type Way } from '../api/ways'
import { clock, count } from '../lib/format'
import { go } from '../lib/route'
import { Button, FIELD, Select, Switch } from '../ui/controls'
import { lengthOf } from './files'
import { FileRow, Section } from './parts'
import { clearStage } from './staged'
import { sendSong } from './uploads'
import { WayList } from './WayList'

export interface Options {
  readonly chart: boolean
  readonly preview: boolean
  readonly priority: string
  readonly format: string
}

const FORMATS = [
  ['flac', '16 bits: enough to listen'],
  ['flac24', '24 bits: to work on'],
] as const
const PRIORITIES = [
  ['high', 'Before the others'],
  ['normal', 'As it comes'],
  ['low', 'When nothing else waits'],
] as const
const START: Options = { chart: true, preview: true, priority: 'normal', format: 'flac' }

/** The form fields of a job. A chart needs a drum stem, and a draft first needs something finer after it. */
export function fieldsOf(way: Way, options: Options): Record<string, string> {
  return {
    strategy: way.strategy,
    format: options.format,
    priority: options.priority,
    ...(options.chart && way.stems.includes('drums') && { transcribe: 'true' }),
    ...(options.preview && !way.draft && { preview: 'true' }),
  }
}

export function SongForm({ files }: { files: readonly File[] }) {
  const ways = useWays()
  const [chosen, setChosen] = useState<string | null>(null)
  const [options, setOptions] = useState(START)
  const lengths = useLengths(files)
  const way = ways.find((one) => one.strategy === chosen) ?? defaultWay(ways)
  if (files.length === 0 || !way) return null
  const seconds = files.reduce((sum, file) => sum + (lengths.get(file) ?? USUAL_LENGTH), 0)
  const start = () => {
    for (const file of files) sendSong(file, fieldsOf(way, options))
    clearStage()
    go('/')
  }
  return (
    <>
      <ul className="mt-4 divide-y divide-line">
        {files.map((file) => (
          <FileRow key={`${file.name} ${file.size}`} file={file} note={noteOf(lengths.get(file))} />
        ))}
      </ul>
      <Section title="How fine?">
        <WayList ways={ways} chosen={way} onChoose={setChosen} seconds={seconds} />
      </Section>
      <Advanced way={way} options={options} onChange={setOptions} />
      <div className="sticky bottom-0 mt-4 bg-linear-to-t from-canvas from-60% to-transparent pt-8 pb-5">
        <Button kind="solid" className="w-full sm:w-auto" onClick={start} disabled={way.state === 'missing'}>
          Take {files.length === 1 ? 'it' : `${count(files.length, 'song')}`} apart
        </Button>
      </div>
    </>
  )
}

function noteOf(seconds: number | null | undefined): string | undefined {
  return seconds ? clock(seconds) : undefined
}

/** The lengths of recordings, as they become known. */
function useLengths(files: readonly File[]): ReadonlyMap<File, number | null> {
  const [lengths, setLengths] = useState<ReadonlyMap<File, number | null>>(new Map())
  useEffect(() => {
    let over = false
    const measure = async () => {
      for (const file of files.filter((one) => !lengths.has(one)).slice(0, 50)) {
        const seconds = await lengthOf(file)
        if (over) return
        setLengths((known) => new Map(known).set(file, seconds))
      }
    }
    void measure()
    return () => {
      over = true
    }
  }, [files, lengths])
  return lengths
}

function Advanced({ way, options, onChange }: { way: Way; options: Options; onChange: (options: Options) => void }) {
  const drums = way.stems.includes('drums')
  const { draft } = way
  return (
    <details className="group mt-6">
      <summary className="inline-flex h-9 list-none items-center gap-1.5 rounded-full pr-3 text-sm text-soft hover:text-ink [&::-webkit-details-marker]:hidden">
        <ChevronRight size={16} aria-hidden className="transition-transform group-open:rotate-90" /> More options
      </summary>
      <div className="mt-2 grid gap-5 rounded-card border border-line bg-surface p-5 sm:grid-cols-2">
        <Switch
          label="Drum chart"
          hint={drums ? 'Each stroke on eight lanes, and as MIDI' : 'This way gives no drums'}
          on={options.chart && drums}
          disabled={!drums}
          onChange={(chart) => onChange({ ...options, chart })}
        />
        <Switch
          label="A draft first"
          hint={draft ? 'This is the draft already' : 'Play within seconds, while the fine stems are made'}
          on={options.preview && !draft}
          disabled={draft}
          onChange={(preview) => onChange({ ...options, preview })}
        />
        <label className="grid gap-1 text-sm">
          Resolution
          <Select className={FIELD} value={options.format} options={FORMATS} onChange={(format) => onChange({ ...options, format })} />
        </label>
        <label className="grid gap-1 text-sm">
          Place in the queue
          <Select className={FIELD} value={options.priority} options={PRIORITIES} onChange={(priority) => onChange({ ...options, priority })} />
        </label>
      </div>
    </details>
  )
}
