/** What song this is, and what can be done with it as a whole. */

import { ArrowLeft, Download, Ellipsis, Keyboard, Pencil, RotateCcw, RotateCw, Trash2, X } from 'lucide-react'
import { useState } from 'react'
import type { Job, SongDetail } from '../api/client'
import { useJobActions } from '../api/queries'
import { Cover } from '../library/Cover'
import { DeleteSong, RenameSong, SeparateAgain } from '../library/SongDialogs'
import { Badge, complain, factsOf, Stage } from '../library/SongRow'
import { stageOf } from '../library/jobs'
import { clock } from '../lib/format'
import { go } from '../lib/route'
import { Link } from '../ui/Link'
import { ThemeSwitch } from '../ui/ThemeSwitch'
import { Button, Progress } from '../ui/controls'
import { Menu } from '../ui/surfaces'

interface Props {
  song: SongDetail
  job: Job | undefined
  draft?: boolean
  onTake?: () => void
  onReset?: () => void
  onHelp?: () => void
}

type Open = 'rename' | 'again' | 'delete' | null

export function SongHeader({ song, job, draft = false, onTake, onReset, onHelp }: Props) {
  const [open, setOpen] = useState<Open>(null)
  const { cancel } = useJobActions()
  const { bpm, key } = factsOf(song)
  const facts = [song.artist, bpm && `${bpm} BPM`, key, song.duration && clock(song.duration)].filter(Boolean)
  const close = () => setOpen(null)
  const items = [
    ...(onReset ? [{ text: 'Reset the mix', icon: <RotateCcw size={16} aria-hidden />, onSelect: onReset }] : []),
    ...(onHelp ? [{ text: 'Keyboard shortcuts', icon: <Keyboard size={16} aria-hidden />, onSelect: onHelp }] : []),
    ...(song.kind === 'recording' ? [{ text: 'Separate again', icon: <RotateCw size={16} aria-hidden />, onSelect: () => setOpen('again') }] : []),
    { text: 'Rename', icon: <Pencil size={16} aria-hidden />, onSelect: () => setOpen('rename') },
    job
      ? { text: 'Cancel the separation', icon: <X size={16} aria-hidden />, onSelect: () => cancel.mutate(job.id, { onError: complain }), bad: true }
      : { text: 'Delete', icon: <Trash2 size={16} aria-hidden />, onSelect: () => setOpen('delete'), bad: true },
  ]
  return (
    <header className="flex min-h-20 items-center gap-3 sm:gap-4">
      <Link to="/" aria-label="Your songs" title="Your songs" className="-ml-2 flex size-10 shrink-0 items-center justify-center rounded-full text-soft hover:bg-line/60 hover:text-ink">
        <ArrowLeft size={20} aria-hidden />
      </Link>
      <Cover song={song.id} title={song.title} ready={song.model !== null} className="size-12 max-sm:hidden" />
      <div className="min-w-0 grow">
        <div className="flex items-center gap-2.5">
          <h1 className="truncate text-lg font-semibold tracking-tight sm:text-xl">{song.title}</h1>
          {draft && <Badge text="Draft" />}
        </div>
        {job && onTake ? <UnderWay job={job} /> : <p className="tabular truncate text-sm text-faint">{facts.join(' · ')}</p>}
      </div>
      {onTake && (
        <Button kind="solid" onClick={onTake} aria-label="Take away" className="shrink-0 max-sm:size-10 max-sm:px-0!">
          <Download size={17} aria-hidden /> <span className="max-sm:hidden">Take away</span>
        </Button>
      )}
      <div className="flex items-center">
        <span className="max-sm:hidden">
          <ThemeSwitch />
        </span>
        <Menu
          trigger={
            <Button size="icon" aria-label="More">
              <Ellipsis size={19} aria-hidden />
            </Button>
          }
          items={items}
        />
      </div>
      <RenameSong song={song} open={open === 'rename'} onClose={close} />
      <SeparateAgain song={song} open={open === 'again'} onClose={close} />
      <DeleteSong song={song} open={open === 'delete'} onClose={close} onDeleted={() => go('/')} />
    </header>
  )
}

function UnderWay({ job }: { job: Job }) {
  return (
    <div className="flex items-center gap-3 text-sm text-faint">
      {job.preview && <span className="max-sm:hidden">Playing a draft.</span>}
      <Stage job={job} />
      <Progress label={stageOf(job)} value={job.status === 'queued' ? 0 : job.progress} className="w-28 shrink-0 max-sm:hidden" />
    </div>
  )
}
