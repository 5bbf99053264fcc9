package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/oci-catalog/caib/pkg/entry"
)

// passwordVariable holds the password of private keys, as it does for cosign:
// set and empty, it is the empty password.
const passwordVariable = "COSIGN_PASSWORD"

// password asks for the password of a private key: the environment, else a
// person. Where neither is there, the empty one is a guess.
func (a *app) password(ctx context.Context) (password []byte, guessed bool, err error) {
	if value, set := a.system.lookupEnv(passwordVariable); set {
		return []byte(value), false, nil
	}
	if !a.system.InTerminal {
		return nil, true, nil
	}
	password, err = a.askPassword(ctx, "Password of the private key: ")
	return password, false, err
}

// newPassword asks for the password of a private key that is being made: the
// environment, else a person, twice.
func (a *app) newPassword(ctx context.Context) ([]byte, error) {
	if value, set := a.system.lookupEnv(passwordVariable); set {
		return []byte(value), nil
	}
	if !a.system.InTerminal {
		return nil, withHint(fmt.Errorf("%w: the private key needs a password, and nobody is here to ask", entry.ErrInvalid),
			"set %s; set to nothing, it leaves the key without a password", passwordVariable)
	}
	first, err := a.askPassword(ctx, "Password for the private key: ")
	if err != nil {
		return nil, err
	}
	again, err := a.askPassword(ctx, "The same password again: ")
	if err != nil {
		return nil, err
	}
	if string(first) != string(again) {
		return nil, fmt.Errorf("%w: the two passwords differ", entry.ErrInvalid)
	}
	return first, nil
}

func (a *app) askPassword(ctx context.Context, question string) ([]byte, error) {
	fmt.Fprint(a.system.Err, question)
	defer fmt.Fprintln(a.system.Err)
	return a.system.readPassword(ctx)
}

// readPassword reads a line that a terminal does not show. A person who
// interrupts it gets a terminal back that shows what is typed.
func (s Streams) readPassword(ctx context.Context) ([]byte, error) {
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	read := func() ([]byte, error) { return readLine(s.In) }
	restore := func() {}
	if file, ok := s.In.(*os.File); ok {
		read = func() ([]byte, error) { return term.ReadPassword(int(file.Fd())) }
		if state, err := term.GetState(int(file.Fd())); err == nil {
			restore = func() { _ = term.Restore(int(file.Fd()), state) }
		}
	}
	go func() { // ends with the process where nobody answers
		text, err := read()
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("read the password: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		restore()
		return nil, ctx.Err()
	}
}

// readLine reads one line of at most 1024 bytes, and nothing after it.
func readLine(from io.Reader) ([]byte, error) {
	var line strings.Builder
	for next := make([]byte, 1); line.Len() < 1024; {
		n, err := from.Read(next)
		if n == 1 && next[0] == '\n' {
			break
		}
		line.Write(next[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return []byte(strings.TrimSuffix(line.String(), "\r")), nil
}
