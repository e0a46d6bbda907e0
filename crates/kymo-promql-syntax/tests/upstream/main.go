// What Prometheus' parser says to queries: one JSON string per line in, one JSON object per line out.
//
//	go mod init answers && cp $(go list -f '{{.Dir}}' github.com/prometheus/prometheus/web/api/v1)/translate_ast.go .
//	(rename its package to main) && go run . < queries > answers.jsonl
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

type fault struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Full  string `json:"full"`
}

type answer struct {
	Query  string  `json:"q"`
	Errors []fault `json:"errs,omitempty"`
	Tree   any     `json:"ast,omitempty"`
	Line   string  `json:"str,omitempty"`
	Pretty string  `json:"pretty,omitempty"`
	Type   string  `json:"type,omitempty"`
}

func ask(p parser.Parser, query string) answer {
	out := answer{Query: query}
	expr, err := p.ParseExpr(query)
	var list parser.ParseErrors
	if errors.As(err, &list) {
		for _, e := range list {
			out.Errors = append(out.Errors, fault{int(e.PositionRange.Start), int(e.PositionRange.End), e.Error()})
		}
		return out
	} else if err != nil {
		panic(err)
	}
	out.Tree, out.Line, out.Type = translateAST(expr), expr.String(), string(expr.Type())
	if pretty := parser.Prettify(expr); pretty != out.Line {
		out.Pretty = pretty
	}
	return out
}

func main() {
	p := parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  true,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: true,
		EnableBinopFillModifiers:     true,
	})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var query string
		if err := json.Unmarshal(lines.Bytes(), &query); err != nil {
			panic(err)
		}
		if err := out.Encode(ask(p, query)); err != nil {
			panic(err)
		}
	}
}
