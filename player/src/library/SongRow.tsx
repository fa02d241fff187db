/** A song in the library. */

import { AudioLines, Ellipsis, Pencil, RotateCw, Trash2, X } from 'lucide-react'
import { useState } from 'react'
import { advice, errorOf, sentence, type Job, type Song } from '../api/client'
import { useJobActions } from '../api/queries'
import { clock, shortKey } from '../lib/format'
import { go } from '../lib/route'
import { Link } from '../ui/Link'
import { Button, Progress } from '../ui/controls'
import { Menu, say } from '../ui/surfaces'
import { Cover } from './Cover'
import { DeleteSong, RenameSong, SeparateAgain } from './SongDialogs'
import { putAway } from './away'
import { progressOf, stageOf } from './jobs'

/** Tempo and key of a song as they are shown. */
export function factsOf(song: Song): { bpm: string; key: string; keyName: string } {
  const tempo = song.analysis?.tempo
  const key = song.analysis?.key
  return { bpm: tempo ? String(Math.round(tempo.bpm)) : '', key: key?.name ? shortKey(key.name) : '', keyName: key?.name ?? '' }
}

type Open = 'rename' | 'again' | 'delete' | null

export function SongRow({ song, job, failed }: { song: Song; job: Job | undefined; failed: Job | undefined }) {
  const [open, setOpen] = useState<Open>(null)
  const { bpm, key, keyName } = factsOf(song)
  const playable = song.model !== null || Boolean(job?.preview)
  return (
    <li className="group relative flex min-h-19 flex-wrap items-center gap-x-4 gap-y-1.5 py-3">
      <Cover song={song.id} title={song.title} ready={song.model !== null} className="size-12" />
      <div className="min-w-0 grow basis-0">
        <div className="flex items-baseline gap-2">
          <Link to={`/songs/${song.id}`} className="truncate font-medium after:absolute after:inset-0 after:-mx-3 after:rounded-xl after:transition-colors group-hover:after:bg-ink/4">
            {song.title}
          </Link>
          {song.draft && !job && song.kind === 'recording' && <Badge text="Draft" />}
          {job?.preview && <Badge text="Draft ready" />}
        </div>
        {job ? <Running job={job} title={song.title} /> : <p className="truncate text-sm text-faint">
            {lineOf(song, playable)}
            <span aria-hidden className="tabular sm:hidden">
              {[bpm, key, song.duration && clock(song.duration)].filter(Boolean).map((fact) => ` · ${fact}`)}
            </span>
          </p>}
      </div>
      {!job && !failed && (
        <dl className="tabular hidden shrink-0 text-right text-sm text-soft sm:flex">
          <Fact name="Tempo" value={bpm && `${bpm} BPM`} width="w-20" />
          <Fact name="Key" value={key} width="w-14" title={keyName} />
          <Fact name="Length" value={song.duration ? clock(song.duration) : ''} width="w-16" />
        </dl>
      )}
      <Actions song={song} job={job} failed={failed} onOpen={setOpen} />
      {failed && <Failed job={failed} />}
      <RenameSong song={song} open={open === 'rename'} onClose={() => setOpen(null)} />
      <SeparateAgain song={song} open={open === 'again'} onClose={() => setOpen(null)} />
      <DeleteSong song={song} open={open === 'delete'} onClose={() => setOpen(null)} onDeleted={() => setOpen(null)} />
    </li>
  )
}

function lineOf(song: Song, playable: boolean): string {
  if (!playable) return [song.artist, 'Not taken apart yet'].filter(Boolean).join(' · ')
  return song.artist || (song.kind === 'stems' ? 'Imported stems' : song.file_name)
}

function Fact({ name, value, width, title }: { name: string; value: string; width: string; title?: string }) {
  return (
    <div className={width} {...(title && { title })}>
      <dt className="sr-only">{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

export function Badge({ text }: { text: string }) {
  return <span className="shrink-0 rounded-full bg-line px-2 py-px text-xs text-soft">{text}</span>
}

function Running({ job, title }: { job: Job; title: string }) {
  return (
    <>
      <Stage job={job} />
      <Progress label={`${stageOf(job)}: ${title}`} value={job.status === 'queued' ? 0 : job.progress} className="mt-1.5 max-w-xl" />
    </>
  )
}

/** What a job does; how far it is stays in sight where there is little room. */
export function Stage({ job }: { job: Job }) {
  const progress = progressOf(job)
  return (
    <p className="tabular flex text-sm text-faint">
      <span className="truncate">{stageOf(job)}</span>
      {progress && <span className="shrink-0 whitespace-pre"> · {progress}</span>}
    </p>
  )
}

function Failed({ job }: { job: Job }) {
  const code = job.error?.code ?? ''
  return (
    <p role="alert" className="basis-full text-sm wrap-anywhere text-bad sm:pl-16">
      {sentence(job.error?.message ?? 'It failed')} <span className="text-soft">{advice(code)}</span>
    </p>
  )
}

export const complain = (error: unknown): void => say(errorOf(error).message, { bad: true })

interface ActionsProps {
  song: Song
  job: Job | undefined
  failed: Job | undefined
  onOpen: (open: Open) => void
}

function Actions({ song, job, failed, onOpen }: ActionsProps) {
  const { cancel, retry } = useJobActions()
  const idle = song.model === null && song.kind === 'recording' && !job && !failed
  const items = [
    { text: 'Open', icon: <AudioLines size={16} aria-hidden />, onSelect: () => go(`/songs/${song.id}`) },
    { text: 'Rename', icon: <Pencil size={16} aria-hidden />, onSelect: () => onOpen('rename') },
    ...(song.kind === 'recording' ? [{ text: 'Separate again', icon: <RotateCw size={16} aria-hidden />, onSelect: () => onOpen('again') }] : []),
    { text: job ? 'Delete: cancel it first' : 'Delete', icon: <Trash2 size={16} aria-hidden />, onSelect: () => onOpen('delete'), bad: true, disabled: Boolean(job) },
  ]
  return (
    <div className="relative flex shrink-0 items-center gap-1">
      {job && (
        <Button size="small" aria-label={`Cancel ${song.title}`} onClick={() => cancel.mutate(job.id, { onError: complain })} disabled={cancel.isPending}>
          <X size={15} aria-hidden /> <span className="max-sm:sr-only">Cancel</span>
        </Button>
      )}
      {failed && (
        <>
          <Button kind="outline" size="small" onClick={() => retry.mutate(failed.id, { onError: complain })} disabled={retry.isPending}>
            <RotateCw size={14} aria-hidden /> <span className="max-sm:sr-only">Try again</span>
          </Button>
          <Button size="small" onClick={() => putAway(failed.id)} aria-label={`Put the failure of ${song.title} away`}>
            <X size={15} aria-hidden />
          </Button>
        </>
      )}
      {idle && (
        <Button kind="outline" size="small" onClick={() => onOpen('again')}>
          Take apart
        </Button>
      )}
      <Menu
        trigger={
          <Button size="icon" aria-label={`More for ${song.title}`}>
            <Ellipsis size={18} aria-hidden />
          </Button>
        }
        items={items}
      />
    </div>
  )
}
