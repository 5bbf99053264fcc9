package cli

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// transferEvery is the time between two lines where there is no terminal.
const transferEvery = 5 * time.Second

// transferBar shows how far a transfer is: a bar on a terminal, a line every few
// seconds elsewhere, and nothing with --quiet.
type transferBar struct {
	app   *app
	title string
	began time.Time
	shown time.Time
	bars  *mpb.Progress
	bar   *mpb.Bar
}

func (a *app) newTransferBar() *transferBar { return &transferBar{app: a} }

// update is told of every piece, by one goroutine at a time.
func (b *transferBar) update(p catalog.PullProgress) {
	if b.app.settings.quiet {
		return
	}
	now := b.app.system.Now()
	if b.title != p.Title || b.began.IsZero() {
		b.clear()
		b.title, b.began, b.shown = p.Title, now, now
		if b.app.system.ErrTerminal && !b.app.settings.verbose {
			b.draw(p)
		}
	}
	switch {
	case b.bar != nil:
		b.bar.SetCurrent(p.Bytes)
	case now.Sub(b.shown) >= transferEvery:
		b.shown = now
		b.line(p, now.Sub(b.began))
	}
}

// draw begins a bar.
func (b *transferBar) draw(p catalog.PullProgress) {
	b.bars = mpb.New(mpb.WithOutput(raw(b.app.system.Err)), mpb.WithAutoRefresh())
	b.bar = b.bars.AddBar(p.Size,
		mpb.PrependDecorators(decor.Name(harmless(p.Title)+" "), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)),
		mpb.BarWidth(progressWidth), mpb.BarRemoveOnComplete())
	b.bar.SetCurrent(p.Begun)
}

// line says in words how far a file is, at what rate, and how long it will take.
func (b *transferBar) line(p catalog.PullProgress, took time.Duration) {
	rate := float64(p.Bytes-p.Begun) / took.Seconds()
	left := "?"
	if rate > 0 {
		left = age(time.Duration(float64(p.Size-p.Bytes) / rate * float64(time.Second)))
	}
	b.app.note("%s: %s of %s, %s/s, %s left", p.Title, size(p.Bytes), size(p.Size), size(int64(rate)), left)
}

// clear removes the bar.
func (b *transferBar) clear() {
	if b.bar == nil {
		return
	}
	b.bar.Abort(true)
	b.bars.Wait()
	b.bar, b.bars = nil, nil
}

// harmless is a stranger's text as the guard of streams prints it.
func harmless(text string) string {
	var shown bytes.Buffer
	fmt.Fprint(&plainWriter{to: &shown}, text)
	return oneLine.Replace(shown.String())
}
