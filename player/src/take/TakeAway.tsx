/** Taking away: stems, the mix, the chart, and how they were made. */

import { Download } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { API, errorOf, type SongDetail } from '../api/client'
import { useReceipt } from '../api/queries'
import { clock, count, decibels, label, listed, signed } from '../lib/format'
import { recall, remember } from '../lib/memory'
import { colourOf } from '../lib/roles'
import { useMix } from '../song/mixer'
import { Button, FIELD, look, Select, Switch } from '../ui/controls'
import { Dialog, say } from '../ui/surfaces'
import { FORMATS, endingOf, mixQuery, mixWords, unsaid } from './mix'
import { receiptWords } from './receipt'
import { saveMade, saveOnce } from './save'

export function TakeAway({ song, open, onClose }: { song: SongDetail; open: boolean; onClose: () => void }) {
  const [format, setFormat] = useState(() => recall<string>('format') ?? 'flac')
  const choose = (next: string) => {
    remember('format', next)
    setFormat(next)
  }
  return (
    <Dialog open={open} onClose={onClose} title="Take away" wide>
      <label className="flex items-center justify-between gap-4 text-sm">
        Format
        <Select className={`${FIELD} sm:w-60`} value={format} options={FORMATS} onChange={choose} />
      </label>
      <Stems song={song} format={format} />
      <ThisMix song={song} format={format} />
      <Others song={song} />
      <ReceiptText song={song} />
    </Dialog>
  )
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mt-5 border-t border-line pt-4">
      <h3 className="mb-2 font-semibold tracking-tight">{title}</h3>
      {children}
    </section>
  )
}

/** Does one thing at a time, and says what went wrong. */
function useBusy(): [string | null, (name: string, work: () => Promise<unknown>) => void] {
  const [busy, setBusy] = useState<string | null>(null)
  return [
    busy,
    (name, work) => {
      setBusy(name)
      work()
        .catch((error: unknown) => say(errorOf(error).message, { bad: true }))
        .finally(() => setBusy(null))
    },
  ]
}

function Stems({ song, format }: { song: SongDetail; format: string }) {
  const { source } = useMix()
  const names = source.stems.map((stem) => stem.name)
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set())
  const [busy, run] = useBusy()
  const wanted = names.filter((name) => !left.has(name))
  const base = `${API}/songs/${song.id}`
  const turn = (name: string) => setLeft((now) => new Set(now.has(name) ? [...now].filter((one) => one !== name) : [...now, name]))
  const one = (name: string) => saveMade(`${base}/stems/${encodeURIComponent(name)}.${format}?separation=${source.separation}`, `${song.title} - ${name}.${endingOf(format)}`)
  const some = async () => {
    for (const name of wanted) await one(name)
  }
  const zip = () => saveMade(`${base}/stems.zip?separation=${source.separation}&format=${format}`)
  return (
    <Part title="Stems">
      <ul className="flex flex-wrap gap-2">
        {names.map((name) => (
          <li key={name}>
            <label className="flex h-9 cursor-pointer items-center gap-2 rounded-full border border-line px-3.5 text-sm transition-colors hover:border-strong has-checked:border-ink has-focus-visible:outline-2 has-focus-visible:outline-ink">
              <input type="checkbox" className="sr-only" checked={!left.has(name)} onChange={() => turn(name)} />
              <span aria-hidden className={`size-2.5 rounded-full ${left.has(name) ? 'opacity-30' : ''}`} style={{ background: colourOf(name) }} />
              <span className={left.has(name) ? 'text-faint' : ''}>{label(name)}</span>
            </label>
          </li>
        ))}
      </ul>
      <div className="mt-3 flex flex-wrap gap-2">
        {wanted.length === names.length && (
          <Button kind="solid" disabled={busy !== null} onClick={() => run('zip', zip)}>
            <Download size={17} aria-hidden /> {busy === 'zip' ? 'Preparing …' : 'All in one zip'}
          </Button>
        )}
        <Button kind={wanted.length === names.length ? 'outline' : 'solid'} disabled={busy !== null || wanted.length === 0} onClick={() => run('stems', some)}>
          {busy === 'stems' ? 'Preparing …' : wanted.length === names.length ? 'One by one' : `Download ${count(wanted.length, 'stem')}`}
        </Button>
        {names.length === 4 && (
          <Button kind="outline" disabled={busy !== null} title="One file for Traktor and its like" onClick={() => run('mp4', () => saveMade(`${base}/song.stem.mp4?separation=${source.separation}`))}>
            {busy === 'mp4' ? 'Preparing …' : '.stem.mp4 for DJs'}
          </Button>
        )}
      </div>
    </Part>
  )
}

function ThisMix({ song, format }: { song: SongDetail; format: string }) {
  const { state, source } = useMix()
  const { stems } = state
  const [part, setPart] = useState(true)
  const [busy, run] = useBusy()
  const words = mixWords(stems, decibels)
  const lacking = unsaid(state)
  const region = part ? state.loop : null
  const render = async () => {
    const query = mixQuery(stems, source.separation, region)
    const headers = await saveOnce(`${API}/songs/${song.id}/mix.${format}?${query}`, `${song.title} - mix.${endingOf(format)}`)
    const gain = Number(headers.get('Stemwright-Gain-dB') ?? 0)
    if (gain < 0) say(`The mix was turned down by ${decibels(-gain).replace('+', '')}, so that it does not clip.`)
  }
  return (
    <Part title="This mix">
      <p className="text-soft">{words}.</p>
      {lacking && <p className="mt-1 text-sm text-warn">{lacking}</p>}
      {state.loop && (
        <div className="mt-3">
          <Switch label="Only the loop" hint={`${clock(state.loop.start, true)} to ${clock(state.loop.end, true)}`} on={part} onChange={setPart} />
        </div>
      )}
      <Button kind="outline" className="mt-3" disabled={busy !== null || words === 'Nothing is heard'} onClick={() => run('mix', render)}>
        <Download size={17} aria-hidden /> {busy ? 'Mixing on the server …' : 'Download the mix'}
      </Button>
    </Part>
  )
}

/** The drum chart, and MIDI that came with the song. */
function Others({ song }: { song: SongDetail }) {
  const { source } = useMix()
  const charted = song.separations.find((one) => one.drums?.chart === source.chart && source.chart !== undefined)?.drums
  const links = [
    ...(charted
      ? [
          ['Drums as MIDI', charted.midi],
          ...(charted.midi_quantised ? [['Drums as MIDI, on the grid', charted.midi_quantised]] : []),
          ['Drum chart (JSON)', charted.chart],
          ['Drum chart (picture)', charted.picture],
        ]
      : []),
    ...song.notes.map((note) => [note.name, note.url]),
  ] as const
  if (links.length === 0) return null
  return (
    <Part title="Notes">
      <ul className="flex flex-wrap gap-2">
        {links.map(([text, url]) => (
          <li key={url}>
            <a href={url} download className={look({ kind: 'outline', size: 'small' })}>
              {text}
            </a>
          </li>
        ))}
      </ul>
    </Part>
  )
}

function ReceiptText({ song }: { song: SongDetail }) {
  const { source } = useMix()
  const { data } = useReceipt(song.id, source.separation)
  if (!data) return null
  const loudness = listed(source.stems.flatMap(({ name, lufs }) => (lufs === null ? [] : `${label(name)} ${signed(Math.round(lufs))} LUFS`)))
  return (
    <Part title="How it was made">
      {receiptWords(data).map((sentence) => (
        <p key={sentence} className="text-sm text-soft">
          {sentence}
        </p>
      ))}
      <p className="mt-2 text-sm text-faint">
        {loudness && `Loudness: ${loudness}. `}
        <a className="underline underline-offset-4 hover:text-ink" href={`${API}/songs/${song.id}/receipt?separation=${source.separation}`} download={`${song.title} - receipt.json`}>
          The whole receipt
        </a>
      </p>
    </Part>
  )
}
