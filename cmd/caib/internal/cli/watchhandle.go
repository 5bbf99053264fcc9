package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const (
	firstRetry = time.Second // before a CMD that failed is run again
	maxRetry   = time.Minute
	endsWithin = 10 * time.Second // that a CMD has to end when the watch is interrupted
	shell      = "sh"
)

// handlingError is why an event is not handled: it ends a watch.
type handlingError struct{ error }

func (e *handlingError) Unwrap() error { return e.error }

// handleAll handles what happened, and records it: after each event with --exec, else
// when all of them are printed.
func (o *watchOptions) handleAll(ctx context.Context, happened []news, all []*watched, file *watchFile) error {
	if len(happened) == 0 {
		return nil
	}
	for _, one := range happened {
		err := o.handle(ctx, &one)
		if err == nil {
			one.of.known[one.Name] = one.Tag
			if o.command != "" {
				err = file.save(all)
			}
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return &handlingError{errors.Join(err, file.save(all))}
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), file.save(all))
		}
	}
	if err := file.save(all); err != nil {
		return &handlingError{err}
	}
	return nil
}

// handle prints one event, or has the command see it through.
func (o *watchOptions) handle(ctx context.Context, one *news) error {
	text, err := json.Marshal(one.Event)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	switch {
	case o.command != "":
		return o.persist(ctx, one, text)
	case o.settings.output == "name":
		text = []byte(one.Tag + "\n")
	}
	if _, err := o.system.Out.Write(text); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// persist runs the command until it succeeds, or has failed too often.
func (o *watchOptions) persist(ctx context.Context, one *news, text []byte) error {
	wait := firstRetry
	for failures := 0; ; failures++ {
		err := o.execute(ctx, text)
		if err == nil || ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("--exec: %s of %s (%s): %w", one.Operation, one.Name, one.Tag, err)
		if failures == o.retries {
			return withHint(err, "a watch with the same --state begins with this event; --retries says how often CMD is run again")
		}
		o.warn(fmt.Sprintf("%v: again in %s", err, wait))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetry)
	}
}

// execute runs the command once. When ctx ends it is interrupted, and killed if it does
// not end then.
func (o *watchOptions) execute(ctx context.Context, text []byte) error {
	command := exec.CommandContext(ctx, shell, "-c", o.command)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(text), o.system.Out, o.system.Err
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = endsWithin
	err := command.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and left something behind that holds its output
		return nil
	}
	return err
}
