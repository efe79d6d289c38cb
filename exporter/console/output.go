package console

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

const columnsOfFiles = 200

// output is where lines go.
type output struct {
	io.Writer
	close    func() error
	terminal bool
	columns  func() int
}

// openOutput opens the file at a path, or standard output.
func openOutput(path string, width int) (*output, error) {
	o := &output{close: func() error { return nil }}
	file := os.Stdout
	if path != "" && path != "-" {
		var err error
		if file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
		o.close = file.Close
	}
	o.Writer = file
	o.terminal = term.IsTerminal(int(file.Fd()))
	o.columns = func() int {
		if width == 0 && o.terminal { // it may have another size by now
			if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
				return max(columns, minWidth)
			}
		}
		if width == 0 {
			return columnsOfFiles
		}
		return width
	}
	return o, nil
}

// colored reports whether lines are to have colours. NO_COLOR is that of https://no-color.org: set, and not empty.
func colored(c Color, terminal bool, getenv func(string) string) bool {
	switch c {
	case ColorAlways:
		return true
	case ColorNever:
		return false
	}
	// Terminals of Windows do not understand the codes unless they are switched to it.
	return terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && runtime.GOOS != "windows"
}
