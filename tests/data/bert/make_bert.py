"""Writes the tiny models of this folder with the answers of PyTorch to them.

usage: make_bert.py [OUT]              (torch transformers sentence-transformers tokenizers safetensors numpy)
       make_bert.py --real MODEL OUT   the answers for a real model's directory, to OUT/golden.json

Each directory is what the libraries themselves save, except for the lengths that are set by hand; `golden.json` beside
each has texts with their embeddings (sentence-transformers) and token numbers with their hidden states (transformers).
All weights are random; they are spread wider than at the start of a training, so that every part matters.

bert        mean, normalised; length in sentence_bert_config.json, other lengths elsewhere
distilbert  first token and mean, one after the other; in shards; length in tokenizer_config.json alone
xlmr        max; weights in f16
roberta     mean by square root of length, weighted mean and last token; a text of nothing has no tokens
tokens      bf16, with a head beside the network, and nothing that says how to pool
"""
import json, os, shutil, sys
import numpy as np, torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (BertConfig, BertForMaskedLM, BertModel, DistilBertConfig, DistilBertModel,
                          PreTrainedTokenizerFast, RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaModel)

TEXTS = ["A short one.", "The cat sits outside while it rains, and the door stays shut.", "Deploying a model is the easy part.",
         "Quarterly revenue grew by four percent in spite of a weak currency.", "¿Dónde está la biblioteca?", "", "  spaces   between  ",
         "naïve façade – “quoted” 123,45 €", "日本語のテキスト", "line one\nline two\ttabbed"]
TEXTS += [" ".join(["the model in production answers every request within ten milliseconds"] * k) for k in range(1, 8)]


def word_piece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=140, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t, dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    t.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=140, special_tokens=special, unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return t, dict(pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    return t, dict(pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def spread(net, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            norm = "layernorm" in name.lower() or "layer_norm" in name.lower()
            p.copy_(torch.randn_like(p) * 0.25 + (1.0 if norm and name.endswith("weight") else 0.0))
            if name.endswith("word_embeddings.weight") and net.config.pad_token_id is not None:
                p[net.config.pad_token_id] = 0
    return net.eval()


def edit(path, change):
    content = json.load(open(path))
    change(content)
    json.dump(content, open(path, "w"), indent=2)


def build(out, name, net, tok, seed, modules=None, dtype=None, shards=None, max_length=None):
    path = f"{out}/{name}"
    shutil.rmtree(path, ignore_errors=True)
    raw = f"{path}/raw"
    tokenizer, names = tok
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **names)
    net = spread(net, seed)
    if dtype:
        net = net.to(dtype)
    net.save_pretrained(raw, **({"max_shard_size": shards} if shards else {}))
    tokenizer.save_pretrained(raw)
    if modules is None:
        for file in os.listdir(raw):
            os.rename(f"{raw}/{file}", f"{path}/{file}")
        shutil.rmtree(raw)
        return path
    whole = SentenceTransformer(modules=[Transformer(raw)] + modules)
    whole.save(path, create_model_card=False)
    shutil.rmtree(raw)
    # sentence-transformers saves in its own type and in one piece.
    net.save_pretrained(path, **({"max_shard_size": shards} if shards else {}))
    if shards and os.path.exists(f"{path}/model.safetensors"):
        os.remove(f"{path}/model.safetensors")
    return path


def rounded(array):
    return np.round(np.asarray(array, dtype=np.float64), 7).tolist()


def golden(path, net, sentences=True, texts=TEXTS, out=None):
    net = net.float().eval()
    result = {}
    if sentences:
        model = SentenceTransformer(path, device="cpu").float()
        result = {"texts": texts, "embeddings": rounded(model.encode(texts, convert_to_numpy=True)),
                  "lengths": [int(model.tokenize([t])["input_ids"].shape[1]) for t in texts]}
    rng = np.random.default_rng(0)
    vocab, pad = net.config.vocab_size, net.config.pad_token_id or 0
    ids, mask = rng.integers(5, vocab, (4, 7)), np.ones((4, 7), dtype=np.int64)
    for row, length in enumerate([7, 4, 1, 6]):
        ids[row, length:], mask[row, length:] = pad, 0
    with torch.no_grad():
        states = net(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state.numpy()
    result |= {"input_ids": ids.tolist(), "attention_mask": mask.tolist(), "hidden_states": rounded(states)}
    json.dump(result, open(f"{out or path}/golden.json", "w"))


def main(out):
    small = dict(vocab_size=140, num_hidden_layers=2, num_attention_heads=4, attn_implementation="eager")
    bert = dict(hidden_size=16, intermediate_size=28, **small)

    net = BertModel(BertConfig(max_position_embeddings=40, **bert), add_pooling_layer=True)
    path = build(out, "bert", net, word_piece(), 1, [Pooling(16, "mean"), Normalize()], max_length=512)
    json.dump({"max_seq_length": 14, "do_lower_case": False}, open(f"{path}/sentence_bert_config.json", "w"))
    def truncate(content): content["truncation"] = {"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
    edit(f"{path}/tokenizer.json", truncate)
    edit(f"{path}/tokenizer_config.json", lambda content: content.update(model_max_length=512))
    golden(path, net)

    net = DistilBertModel(DistilBertConfig(dim=16, hidden_dim=28, max_position_embeddings=40, vocab_size=140, n_layers=2, n_heads=4,
                                           attn_implementation="eager"))
    path = build(out, "distilbert", net, word_piece(), 2, [Pooling(16, ["cls", "mean"])], shards="14KB", max_length=17)
    golden(path, net)

    net = XLMRobertaModel(XLMRobertaConfig(max_position_embeddings=42, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **bert),
                          add_pooling_layer=False)
    path = build(out, "xlmr", net, unigram(), 3, [Pooling(16, "max")], dtype=torch.float16)
    # As older versions wrote it.
    json.dump({"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False,
               "pooling_mode_max_tokens": True, "pooling_mode_mean_sqrt_len_tokens": False}, open(f"{path}/1_Pooling/config.json", "w"))
    json.dump({"max_seq_length": 40, "do_lower_case": True}, open(f"{path}/sentence_bert_config.json", "w"))
    golden(path, net)

    net = RobertaModel(RobertaConfig(max_position_embeddings=42, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                                     hidden_act="gelu_new", layer_norm_eps=1e-5, **(bert | {"vocab_size": 300})), add_pooling_layer=False)
    path = build(out, "roberta", net, byte_level(), 4, [Pooling(16, ["mean_sqrt_len_tokens", "weightedmean", "lasttoken"])], max_length=30)
    golden(path, net, texts=[t for t in TEXTS if t])

    net = BertForMaskedLM(BertConfig(max_position_embeddings=16, hidden_act="relu", **bert))
    path = build(out, "tokens", net, word_piece(), 5, dtype=torch.bfloat16, max_length=16)
    golden(path, net.bert, sentences=False)

    # What this folder's tests do not read.
    for folder, _, files in os.walk(out):
        for file in files:
            if file in {"README.md", "config_sentence_transformers.json", "special_tokens_map.json"}:
                os.remove(f"{folder}/{file}")


if sys.argv[1:2] == ["--real"]:
    from transformers import AutoModel
    golden(sys.argv[2], AutoModel.from_pretrained(sys.argv[2], attn_implementation="eager"), texts=TEXTS + [" ".join(["word"] * 400)], out=sys.argv[3])
else:
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
