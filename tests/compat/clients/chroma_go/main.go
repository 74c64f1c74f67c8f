// Drives github.com/amikos-tech/chroma-go: one JSON request a line on standard input, one answer a line on standard
// output, {"result": ...} or {"error": name, "message": text}. The name is the one in the server's answer, as
// ChromaError.ErrorID has it, or "error" if the client itself refuses.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	v2 "github.com/amikos-tech/chroma-go/pkg/api/v2"
	chhttp "github.com/amikos-tech/chroma-go/pkg/commons/http"
	"github.com/amikos-tech/chroma-go/pkg/embeddings"
)

type object = map[string]any

type request struct {
	Op            string          `json:"op"`
	Host          string          `json:"host"`
	Port          int             `json:"port"`
	Token         *string         `json:"token"`
	Spelling      string          `json:"spelling"`
	Tenant        string          `json:"tenant"`
	Database      string          `json:"database"`
	Name          string          `json:"name"`
	NewName       string          `json:"new_name"`
	Metric        string          `json:"metric"`
	Metadata      object          `json:"metadata"`
	GetOrCreate   bool            `json:"get_or_create"`
	IDs           []v2.DocumentID `json:"ids"`
	Embeddings    [][]float32     `json:"embeddings"`
	Embedding     []float32       `json:"embedding"`
	Documents     []string        `json:"documents"`
	Metadatas     []object        `json:"metadatas"`
	Where         object          `json:"where"`
	WhereDocument object          `json:"where_document"`
	Include       *[]v2.Include   `json:"include"`
	Limit         *int            `json:"limit"`
	Offset        *int            `json:"offset"`
	N             int             `json:"n"`
}

var (
	ctx    = context.Background()
	client v2.Client
)

// given stands in for an embedding function: a test gives its embeddings itself.
type given struct{ embeddings.EmbeddingFunction }

func (given) EmbedDocuments(context.Context, []string) ([]embeddings.Embedding, error) {
	return nil, errors.New("a test gives its embeddings itself")
}

func (given) EmbedQuery(context.Context, string) (embeddings.Embedding, error) {
	return nil, errors.New("a test gives its embeddings itself")
}
func (given) Name() string { return "given" }
func (given) GetConfig() embeddings.EmbeddingFunctionConfig {
	return embeddings.EmbeddingFunctionConfig{}
}
func (given) DefaultSpace() embeddings.DistanceMetric      { return embeddings.L2 }
func (given) SupportedSpaces() []embeddings.DistanceMetric { return nil }

func connect(r request) (any, error) {
	options := []v2.ClientOption{v2.WithBaseURL(fmt.Sprintf("http://%s:%d", r.Host, r.Port))}
	if r.Token != nil {
		switch r.Spelling {
		case "bearer":
			options = append(options, v2.WithAuth(v2.NewTokenAuthCredentialsProvider(*r.Token, v2.AuthorizationTokenHeader)))
		case "token":
			options = append(options, v2.WithAuth(v2.NewTokenAuthCredentialsProvider(*r.Token, v2.XChromaTokenHeader)))
		case "basic":
			options = append(options, v2.WithAuth(v2.NewBasicAuthCredentialsProvider("someone", *r.Token)))
		default:
			options = append(options, v2.WithDefaultHeaders(map[string]string{"X-Chroma-Token": *r.Token}))
		}
	}
	if r.Tenant != "" {
		options = append(options, v2.WithDatabaseAndTenant(r.Database, r.Tenant))
	}
	made, err := v2.NewHTTPClient(options...)
	if err != nil {
		return nil, err
	}
	client = made
	if err := client.Heartbeat(ctx); err != nil {
		return nil, err
	}
	_, err = client.ListCollections(ctx) // connecting asks nothing that needs the token
	return 1, err
}

func described(c v2.Collection) object {
	return object{"id": c.ID(), "name": c.Name(), "metadata": c.Metadata()}
}

func create(r request) (any, error) {
	options := []v2.CreateCollectionOption{v2.WithEmbeddingFunctionCreate(given{}), v2.WithDisableEFConfigStorage()}
	if r.Metric != "" {
		options = append(options, v2.WithHNSWSpaceCreate(embeddings.DistanceMetric(r.Metric)))
	}
	if r.Metadata != nil {
		options = append(options, v2.WithCollectionMetadataCreate(metadata(r.Metadata)))
	}
	make := client.CreateCollection
	if r.GetOrCreate {
		make = client.GetOrCreateCollection
	}
	made, err := make(ctx, r.Name, options...)
	if err != nil {
		return nil, err
	}
	return described(made), nil
}

// metadata has whole numbers as integers, which encoding/json does not tell from others.
func metadata(values object) v2.CollectionMetadata {
	attributes := []*v2.MetaAttribute{}
	for key, value := range values {
		attributes = append(attributes, attribute(key, value))
	}
	return v2.NewMetadata(attributes...)
}

func attribute(key string, value any) *v2.MetaAttribute {
	switch v := value.(type) {
	case bool:
		return v2.NewBoolAttribute(key, v)
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return v2.NewIntAttribute(key, whole)
		}
		number, _ := v.Float64()
		return v2.NewFloatAttribute(key, number)
	}
	return v2.NewStringAttribute(key, value.(string))
}

func list(r request) (any, error) {
	options := []v2.ListCollectionsOption{}
	if r.Limit != nil {
		options = append(options, v2.ListWithLimit(*r.Limit))
	}
	if r.Offset != nil {
		options = append(options, v2.ListWithOffset(*r.Offset))
	}
	found, err := client.ListCollections(ctx, options...)
	names := []string{}
	for _, c := range found {
		names = append(names, c.Name())
	}
	return names, err
}

func collection(name string) (v2.Collection, error) {
	return client.GetCollection(ctx, name, v2.WithEmbeddingFunctionGet(given{}))
}

func vectors(values [][]float32) []embeddings.Embedding {
	made := []embeddings.Embedding{}
	for _, value := range values {
		made = append(made, embeddings.NewEmbeddingFromFloat32(value))
	}
	return made
}

func documentMetadatas(values []object) []v2.DocumentMetadata {
	made := []v2.DocumentMetadata{}
	for _, value := range values {
		attributes := []*v2.MetaAttribute{}
		for key, member := range value {
			attributes = append(attributes, attribute(key, member))
		}
		made = append(made, v2.NewDocumentMetadata(attributes...))
	}
	return made
}

func addOptions(r request) []v2.CollectionAddOption {
	options := []v2.CollectionAddOption{v2.WithIDs(r.IDs...), v2.WithEmbeddings(vectors(r.Embeddings)...)}
	if r.Documents != nil {
		options = append(options, v2.WithTexts(r.Documents...))
	}
	if r.Metadatas != nil {
		options = append(options, v2.WithMetadatas(documentMetadatas(r.Metadatas)...))
	}
	return options
}

func update(c v2.Collection, r request) (any, error) {
	options := []v2.CollectionUpdateOption{v2.WithIDsUpdate(r.IDs...)}
	if r.Embeddings != nil {
		options = append(options, v2.WithEmbeddingsUpdate(vectors(r.Embeddings)...))
	}
	if r.Documents != nil {
		options = append(options, v2.WithTextsUpdate(r.Documents...))
	}
	if r.Metadatas != nil {
		options = append(options, v2.WithMetadatasUpdate(documentMetadatas(r.Metadatas)...))
	}
	return nil, c.Update(ctx, options...)
}

func remove(c v2.Collection, r request) (any, error) {
	options := []v2.CollectionDeleteOption{}
	if r.IDs != nil {
		options = append(options, v2.WithIDsDelete(r.IDs...))
	}
	if r.Where != nil {
		options = append(options, v2.WithWhereDelete(where(r.Where)))
	}
	if r.WhereDocument != nil {
		options = append(options, v2.WithWhereDocumentDelete(whereDocument(r.WhereDocument)))
	}
	return nil, c.Delete(ctx, options...)
}

func get(c v2.Collection, r request) (any, error) {
	options := []v2.CollectionGetOption{}
	if r.IDs != nil {
		options = append(options, v2.WithIDsGet(r.IDs...))
	}
	if r.Where != nil {
		options = append(options, v2.WithWhereGet(where(r.Where)))
	}
	if r.WhereDocument != nil {
		options = append(options, v2.WithWhereDocumentGet(whereDocument(r.WhereDocument)))
	}
	if r.Limit != nil {
		options = append(options, v2.WithLimitGet(*r.Limit))
	}
	if r.Offset != nil {
		options = append(options, v2.WithOffsetGet(*r.Offset))
	}
	if r.Include != nil {
		options = append(options, v2.WithIncludeGet(*r.Include...))
	}
	found, err := c.Get(ctx, options...)
	if err != nil {
		return nil, err
	}
	return object{"ids": found.GetIDs(), "documents": texts(found.GetDocuments()), "metadatas": found.GetMetadatas(),
		"embeddings": floats(found.GetEmbeddings())}, nil
}

func texts(documents v2.Documents) []string {
	made := []string{}
	for _, document := range documents {
		made = append(made, document.ContentString())
	}
	return made
}

func floats(values embeddings.Embeddings) [][]float32 {
	made := [][]float32{}
	for _, value := range values {
		made = append(made, value.ContentAsFloat32())
	}
	return made
}

func query(c v2.Collection, r request) (any, error) {
	options := []v2.CollectionQueryOption{v2.WithQueryEmbeddings(vectors(r.Embeddings)...), v2.WithNResults(r.N)}
	if r.Where != nil {
		options = append(options, v2.WithWhereQuery(where(r.Where)))
	}
	if r.WhereDocument != nil {
		options = append(options, v2.WithWhereDocumentQuery(whereDocument(r.WhereDocument)))
	}
	if r.Include != nil {
		options = append(options, v2.WithIncludeQuery(*r.Include...))
	}
	found, err := c.Query(ctx, options...)
	if err != nil {
		return nil, err
	}
	vectorGroups := [][][]float32{}
	for _, group := range found.GetEmbeddingsGroups() {
		vectorGroups = append(vectorGroups, floats(group))
	}
	return object{"ids": found.GetIDGroups(), "documents": documentGroups(found), "metadatas": found.GetMetadatasGroups(),
		"distances": found.GetDistancesGroups(), "embeddings": vectorGroups}, nil
}

// documentGroups splits the one group that this version puts the documents of all queries in.
func documentGroups(found v2.QueryResult) [][]string {
	all, groups := []string{}, [][]string{}
	for _, group := range found.GetDocumentsGroups() {
		all = append(all, texts(group)...)
	}
	for _, ids := range found.GetIDGroups() {
		if len(all) >= len(ids) {
			groups, all = append(groups, all[:len(ids)]), all[len(ids):]
		}
	}
	return groups
}

// where builds with the client's own words what a test says in Chroma's.
func where(clause object) v2.WhereClause {
	for key, value := range clause {
		switch key {
		case "$and":
			return v2.And(clauses(value)...)
		case "$or":
			return v2.Or(clauses(value)...)
		}
		if condition, ok := value.(object); ok {
			for operator, operand := range condition {
				return compare(v2.K(key), operator, operand)
			}
		}
		return compare(v2.K(key), "$eq", value)
	}
	panic("an empty where")
}

func clauses(values any) []v2.WhereClause {
	made := []v2.WhereClause{}
	for _, value := range values.([]any) {
		made = append(made, where(value.(object)))
	}
	return made
}

func compare(key v2.Key, operator string, operand any) v2.WhereClause {
	switch value := operand.(type) {
	case string:
		return map[string]func(v2.Key, string) v2.WhereClause{"$eq": v2.EqString, "$ne": v2.NotEqString}[operator](key, value)
	case bool:
		return map[string]func(v2.Key, bool) v2.WhereClause{"$eq": v2.EqBool, "$ne": v2.NotEqBool}[operator](key, value)
	case []any:
		return among(key, operator, value)
	}
	if whole, err := operand.(json.Number).Int64(); err == nil {
		return map[string]func(v2.Key, int) v2.WhereClause{"$eq": v2.EqInt, "$ne": v2.NotEqInt, "$gt": v2.GtInt, "$gte": v2.GteInt,
			"$lt": v2.LtInt, "$lte": v2.LteInt}[operator](key, int(whole))
	}
	number, _ := operand.(json.Number).Float64()
	return map[string]func(v2.Key, float32) v2.WhereClause{"$eq": v2.EqFloat, "$ne": v2.NotEqFloat, "$gt": v2.GtFloat,
		"$gte": v2.GteFloat, "$lt": v2.LtFloat, "$lte": v2.LteFloat}[operator](key, float32(number))
}

func among(key v2.Key, operator string, values []any) v2.WhereClause {
	words, numbers := []string{}, []int{}
	for _, value := range values {
		if word, ok := value.(string); ok {
			words = append(words, word)
		} else {
			whole, _ := value.(json.Number).Int64()
			numbers = append(numbers, int(whole))
		}
	}
	switch {
	case operator == "$in" && len(words) > 0:
		return v2.InString(key, words...)
	case operator == "$in":
		return v2.InInt(key, numbers...)
	case len(words) > 0:
		return v2.NinString(key, words...)
	}
	return v2.NinInt(key, numbers...)
}

func whereDocument(clause object) v2.WhereDocumentFilter {
	for operator, value := range clause {
		switch operator {
		case "$contains":
			return v2.Contains(value.(string))
		case "$not_contains":
			return v2.NotContains(value.(string))
		case "$regex":
			return v2.Regex(value.(string))
		case "$not_regex":
			return v2.NotRegex(value.(string))
		}
		parts := []v2.WhereDocumentFilter{}
		for _, part := range value.([]any) {
			parts = append(parts, whereDocument(part.(object)))
		}
		if operator == "$and" {
			return v2.AndDocument(parts...)
		}
		return v2.OrDocument(parts...)
	}
	panic("an empty where_document")
}

func modify(c v2.Collection, r request) (any, error) {
	if r.NewName != "" {
		if err := c.ModifyName(ctx, r.NewName); err != nil {
			return nil, err
		}
	}
	if r.Metadata != nil {
		return nil, c.ModifyMetadata(ctx, metadata(r.Metadata))
	}
	return nil, nil
}

func search(c v2.Collection, r request) (any, error) {
	vector, err := embeddings.NewSparseVector([]int{0}, r.Embedding[:1]) // no dense vector of this version fits KnnVector
	if err != nil {
		return nil, err
	}
	rank, err := v2.NewKnnRank(v2.KnnQuerySparseVector(vector))
	if err != nil {
		return nil, err
	}
	_, err = c.Search(ctx, v2.NewSearchRequest(v2.WithRank(rank), v2.WithPage(v2.WithLimit(1))))
	return nil, err
}

func tenancy(r request) (any, error) {
	tenant := v2.NewTenant(r.Tenant)
	switch r.Op {
	case "create_tenant":
		_, err := client.CreateTenant(ctx, v2.NewTenant(r.Name))
		return nil, err
	case "get_tenant":
		found, err := client.GetTenant(ctx, v2.NewTenant(r.Name))
		if err != nil {
			return nil, err
		}
		return found.Name(), nil
	case "create_database":
		_, err := client.CreateDatabase(ctx, v2.NewDatabase(r.Name, tenant))
		return nil, err
	case "get_database":
		found, err := client.GetDatabase(ctx, v2.NewDatabase(r.Name, tenant))
		if err != nil {
			return nil, err
		}
		return found.Name(), nil
	case "delete_database":
		return nil, client.DeleteDatabase(ctx, v2.NewDatabase(r.Name, tenant))
	case "use":
		return nil, client.UseDatabase(ctx, v2.NewDatabase(r.Database, tenant))
	}
	found, err := client.ListDatabases(ctx, tenant)
	names := []string{}
	for _, database := range found {
		names = append(names, database.Name())
	}
	return names, err
}

func onCollection(r request) (any, error) {
	c, err := collection(r.Name)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case "get_collection":
		return described(c), nil
	case "modify":
		return modify(c, r)
	case "add":
		return nil, c.Add(ctx, addOptions(r)...)
	case "upsert":
		return nil, c.Upsert(ctx, addOptions(r)...)
	case "update":
		return update(c, r)
	case "delete":
		return remove(c, r)
	case "count":
		return c.Count(ctx)
	case "get":
		return get(c, r)
	case "query":
		return query(c, r)
	case "search":
		return search(c, r)
	case "fork":
		_, err := c.Fork(ctx, r.NewName)
		return nil, err
	}
	return nil, fmt.Errorf("no operation %s", r.Op)
}

func answer(r request) (any, error) {
	switch r.Op {
	case "connect":
		return connect(r)
	case "version":
		return client.GetVersion(ctx)
	case "heartbeat":
		return 1, client.Heartbeat(ctx)
	case "create":
		return create(r)
	case "list":
		return list(r)
	case "count_collections":
		return client.CountCollections(ctx)
	case "delete_collection":
		return nil, client.DeleteCollection(ctx, r.Name)
	case "reset":
		return nil, client.Reset(ctx)
	case "create_tenant", "get_tenant", "create_database", "get_database", "delete_database", "list_databases", "use":
		return tenancy(r)
	}
	return onCollection(r)
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var reply object
		if err := decoder.Decode(&r); err != nil {
			reply = object{"error": "request", "message": err.Error()}
		} else if result, err := answer(r); err != nil {
			reply = object{"error": "error", "message": err.Error()}
			var told *chhttp.ChromaError
			if errors.As(err, &told) {
				reply["error"] = told.ErrorID
			}
		} else {
			reply = object{"result": result}
		}
		text, err := json.Marshal(reply)
		if err != nil {
			text, _ = json.Marshal(object{"error": "marshal", "message": err.Error()})
		}
		os.Stdout.Write(append(text, '\n'))
	}
}
