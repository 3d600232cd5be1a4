package main

import (
	"context"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// namesChanges refuses a query that names change columns.
func namesChanges(ctx context.Context, d *database, text, blame string) error {
	parsed, err := syntaxTree(ctx, d, text)
	if err != nil {
		return planFault(ctx, blame, err)
	}
	if name := changeColumnIn(parsed); name != "" {
		return sdk.ConfigError("/query", "%snames %q: change columns pass by themselves, behind the columns of the query; leave them out (* does not hold them either)",
			blame, name)
	}
	return nil
}

// changeColumnIn looks for the name of a change column: a reference, an alias, or in the lists of a star.
func changeColumnIn(value any) string {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if name := changeColumnIn(item); name != "" {
				return name
			}
		}
	case tree:
		for key, item := range value {
			name, isText := item.(string)
			named := isText && (key == "alias" || key == "key" || key == "column" || key == "value")
			if !named {
				name = changeColumnIn(item)
				if key == "column_names" || key == "exclude_list" || key == "aliases" || key == "column_name_alias" {
					name = firstIn(change.Names(), texts(item))
				}
			}
			if value["class"] != "CONSTANT" && name != "" && containsFold(change.Names(), name) {
				return name
			}
		}
	}
	return ""
}

func firstIn(names, among []string) string {
	for _, name := range among {
		if containsFold(names, name) {
			return name
		}
	}
	return ""
}
