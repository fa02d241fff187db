/** What is shown in the place of a view that cannot be. */

import { ArrowLeft } from 'lucide-react'
import { Component, type ReactNode } from 'react'
import { sentence } from '../api/client'
import { PartError } from '../lib/parts'
import { Link } from './Link'
import { Button } from './controls'

interface Props {
  readonly children: ReactNode
  readonly onRetry: () => void
}

/** Says what went wrong in a view, and tries again when asked to. */
export class Boundary extends Component<Props, { error: unknown }> {
  override state = { error: null as unknown }

  static getDerivedStateFromError(error: unknown) {
    return { error }
  }

  private readonly again = () => {
    this.props.onRetry()
    this.setState({ error: null })
  }

  override render() {
    const { error } = this.state
    if (error === null) return this.props.children
    const missing = error instanceof PartError
    return (
      <div role="alert" className="mx-auto flex min-h-[60dvh] max-w-lg flex-col items-center justify-center gap-4 px-6 text-center">
        <h1 className="text-xl font-semibold tracking-tight">{missing ? 'A part of the page did not arrive' : 'This view broke down'}</h1>
        <p className="text-soft">
          {missing
            ? 'The studio does not answer, or is just starting. Your songs and jobs are safe: try again in a moment.'
            : sentence(error instanceof Error ? error.message : String(error))}
        </p>
        <Button kind="outline" onClick={this.again}>
          Try again
        </Button>
        <Link to="/" className="inline-flex items-center gap-2 text-soft hover:text-ink">
          <ArrowLeft size={16} aria-hidden /> Your songs
        </Link>
      </div>
    )
  }
}
