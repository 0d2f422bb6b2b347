# The pipeline as a graph of files: every target is a file that its stage writes whole or not at all,
# so a second run does nothing and a killed run goes on where it stopped.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error GNU make 4.3 or later is needed; this is $(MAKE_VERSION))
endif

# --- what to run on, and how -----------------------------------------------------------------
# A run remembers what it was made with: what is left out is as it was, so that no call that forgets
# a variable makes it anew. With other DATA it forgets.
override RUN := $(patsubst %/,%,$(or $(RUN),$(if $(DATA),runs/$(notdir $(patsubst %/,%,$(DATA))))))
kept = $(if $(RUN),$(shell sed -En '$(2)p' $(RUN)/.settings/$(1) 2>/dev/null))
same = $(filter $(abspath $(or $(DATA),$(was))),$(was))
was = $(call kept,dataset,s/^DATA=([^ ]*) .*/\1/)
# $(call former,KEY,stage): a value; $(call options,stage): what follows the values.
former = $(if $(same),$(call kept,$(2),s/^(.* )?$(1)=([^ ]*).*/\2/))
options = $(if $(same),$(call kept,$(1),s/^([A-Z]+=[^ ]* ?)*//))
# Sets a variable that was not given.
unless_given = $(if $(filter undefined,$(origin $(1))),$(eval $(1) := $(2)))

$(call unless_given,DATA,$(patsubst $(CURDIR)/%,%,$(was)))
# Phantoms to make where no DATA is given; their folder's name says which.
drawn := $(subst -, ,$(patsubst data/phantoms-%,%,$(filter data/phantoms-%,$(DATA))))
$(call unless_given,TRAIN,$(or $(word 1,$(drawn)),180))
$(call unless_given,TEST,$(or $(word 2,$(drawn)),60))
$(call unless_given,SEED,$(or $(call former,SEED,dataset),$(word 3,$(drawn)),0))
PHANTOMS := data/phantoms-$(TRAIN)-$(TEST)-$(SEED)
override DATA := $(patsubst %/,%,$(or $(DATA),$(PHANTOMS)))
override RUN := $(or $(RUN),runs/$(notdir $(DATA)))
ON_PHANTOMS := $(filter $(DATA),$(PHANTOMS))
$(call unless_given,PROFILE,$(or $(call former,PROFILE,cnn),$(if $(ON_PHANTOMS),demo,lite)))
$(call unless_given,FOLDS,$(or $(call former,FOLDS,dataset),$(if $(ON_PHANTOMS),3,5)))
ifeq ($(filter $(PROFILE),demo lite full),)
$(error PROFILE=$(PROFILE): no such profile; give demo, lite or full)
endif
PYTHON ?= python3
# Further lists of which images are one patient's, e.g. the published list of NIH file names.
$(call unless_given,PATIENTS,$(if $(same),$(call kept,dataset,s/.* PATIENTS=(.*) FILES=.*/\1/)))
$(foreach list,$(PATIENTS),$(if $(wildcard $(list)),,$(error PATIENTS=$(list): no such file)))
# Cases in the report; further options of a stage, e.g. CNN_OPTIONS='--epochs 50' or
# FEATURES_OPTIONS='--families firstorder pleura' or BASELINE_OPTIONS='--settings tuned.json'.
$(call unless_given,CASES,$(or $(call former,CASES,report),12))
$(call unless_given,FEATURES_OPTIONS,$(call options,features))
$(call unless_given,BASELINE_OPTIONS,$(call options,baseline))
$(call unless_given,CNN_OPTIONS,$(call options,cnn))
# Runs whose U-Net maps are averaged with RUN's for the gate and the submission: ALSO='runs/b runs/c'.
# Each is made before, by `make cnn`, from the same DATA, FOLDS, SEED and PATIENTS, so that no network
# judges an image it learned from, and trained otherwise, e.g. PROFILE=full or CNN_OPTIONS='--seed 1'.
$(call unless_given,ALSO,$(if $(same),$(call kept,gate,s/^ALSO=//)))
override ALSO := $(patsubst %/,%,$(ALSO))
# Phantoms that help to teach the evidence map where air lies; 0 for none, as where DATA is of phantoms.
$(call unless_given,TEACHERS,$(or $(call former,TEACHERS,evidence),$(if $(ON_PHANTOMS)$(wildcard $(DATA)/parameters.json),0,300)))
override TEACHERS := $(or $(strip $(TEACHERS)),0)
ifneq ($(filter 1 2 3 4 5 6 7 8 9,$(TEACHERS)),)
$(error TEACHERS=$(TEACHERS): so few teach nothing; give 0, or 10 and more)
endif
# Settings that `make tune` tries in all.
TRIALS ?= 40

ifneq ($(words x$(DATA)x$(RUN)x),1)
$(error DATA and RUN: a space in a folder's name cannot be used with make; rename or link the folder)
endif

PY := .venv/bin/python
ENV := .venv/.installed
SETTINGS := $(RUN)/.settings
FOLD_NUMBERS := $(shell seq 0 $$(($(FOLDS) - 1)))

# --- environment -----------------------------------------------------------------------------
.PHONY: help env demo dataset features cells evidence baseline tune ablation scrutiny faithfulness report \
	cnn start gate submission test check format lock clean

help: ## show this help
	@echo "usage: make <target> [DATA=<dataset folder>] [RUN=<run folder>] [SEED=0] [PROFILE=demo|lite|full]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "PATIENTS=<csv> ...: further lists of which images are one patient's (ImageId,patient or Kaggle_ID,NIH_ID)."
	@echo "TEACHERS=0: no phantoms help to teach where air lies (300 do, unless DATA is of phantoms)."
	@echo "Without DATA, a phantom dataset is made: no download, and its truth is known."
	@echo "ALSO=<run> ...: average their U-Net maps with RUN's. FOLDS, CASES, TRIALS; TRAIN and TEST of phantoms."
	@echo "FEATURES_OPTIONS, BASELINE_OPTIONS, CNN_OPTIONS='--epochs 4': options of features.families.table, baseline.classifier.train and"
	@echo "cnn.training.train. Each stage's options: $(PY) -m <module> --help"
	@echo "RUN is runs/<name of the dataset> unless given, and remembers what it was made with."

env: $(ENV) $(if $(CUDA),.venv/.cuda) ## make the environment .venv from requirements.lock (CUDA=1: with GPU support)

# uv is used where it is installed; else venv and pip. The lock's hashes are checked by both.
$(ENV): requirements.lock pyproject.toml
	@echo "making the environment .venv (a minute or two)"
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python '>=3.11,<3.14' .venv && \
	  uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --offline -e .; \
	else \
	  $(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else "error: $(PYTHON) is Python %d.%d; 3.11 to 3.13 is needed: make PYTHON=<interpreter>" % sys.version_info[:2])' && \
	  $(PYTHON) -m venv --clear .venv && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .; \
	fi
	@$(PY) -c 'import lightgbm' 2>/dev/null || \
	  { echo "error: LightGBM cannot load; install the OpenMP runtime (Debian: apt-get install libgomp1)" >&2; exit 1; }
	@touch $@

.venv/.cuda: $(ENV)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade >/dev/null
	@$(PY) -m pip install --quiet --disable-pip-version-check "jax[cuda12]==$$($(PY) -c 'import jax; print(jax.__version__)')"
	@touch $@

# --- the pipeline ----------------------------------------------------------------------------
# A settings file changes only when the settings do; what was made with others is made again.
define settings
	@mkdir -p $(@D)
	@printf '%s\n' '$(1)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
endef
# The names of all files, so that one that comes or goes anywhere in the folder is noticed. Phantoms
# are made whole, after this is asked for the first time, so their folder's name says it all.
listing = $(if $(ON_PHANTOMS),whole,$(shell find -L $(DATA) -type f 2>/dev/null | LC_ALL=C sort | cksum | tr ' ' -))
.PHONY: FORCE
$(SETTINGS)/dataset: FORCE
	$(call settings,DATA=$(abspath $(DATA)) FOLDS=$(FOLDS) SEED=$(SEED)$(if $(PATIENTS), PATIENTS=$(abspath $(PATIENTS))) FILES=$(call listing))
$(SETTINGS)/features: FORCE
	$(call settings,$(FEATURES_OPTIONS))
$(SETTINGS)/evidence: FORCE
	$(call settings,SEED=$(SEED) TEACHERS=$(TEACHERS))
$(SETTINGS)/baseline: FORCE
	$(call settings,SEED=$(SEED)$(if $(BASELINE_OPTIONS), $(BASELINE_OPTIONS)))
$(SETTINGS)/cnn: FORCE
	$(call settings,PROFILE=$(PROFILE) SEED=$(SEED) $(CNN_OPTIONS))
$(SETTINGS)/gate: FORCE
	$(call settings,ALSO=$(abspath $(ALSO)))
$(SETTINGS)/report: FORCE
	$(call settings,CASES=$(CASES))

# Phantoms of a former version are refused with a sentence.
$(PHANTOMS)/stage_2_train.csv: features/phantom/write.py | $(ENV)
	$(PY) -m features.phantom.write --out $(PHANTOMS) --train $(TRAIN) --test $(TEST) --seed $(SEED)
	@touch $@
ifneq ($(ON_PHANTOMS),)
DATA_FILES := $(PHANTOMS)/stage_2_train.csv
else
# Also a file, of whatever name, that was put in place of another since.
changed := $(if $(shell find -L $(DATA) -type f -newer $(RUN)/dataset.parquet 2>/dev/null | head -n 1),FORCE)
DATA_FILES := $(wildcard $(DATA)/*.csv) $(changed)
endif

DATASET := $(addprefix $(RUN)/,dataset.parquet quarantine.csv sample.csv)
dataset: $(DATASET) ## read the dataset: labels, patients, folds; unreadable images set aside
DATASET_CODE := $(addprefix features/,dataset.py patients.py layouts.py images.py study.py folds.py rle.py)
$(DATASET) &: $(DATA_FILES) $(PATIENTS) $(SETTINGS)/dataset $(DATASET_CODE) | $(ENV)
	$(PY) -m features.reading.dataset --data $(DATA) --run $(RUN) --folds $(FOLDS) --seed $(SEED)$(if $(PATIENTS), --patients $(PATIENTS))

FEATURE_CODE := $(addprefix features/,images.py measures.py lungs.py lungs_cascade.py lungs_frames.py \
	lungs_sampling.py lungs_model.npz trees.py regions.py zones.py zonal.py filters.py prepared.py registry.py \
	table.py firstorder.py glcm.py glrlm.py lbp.py gradients.py fractal.py markings.py pleura.py profiles.py \
	shape.py confounders.py acquisition.py)
features: $(RUN)/features.parquet ## measure the features of every image
$(RUN)/features.parquet: $(DATASET) $(FEATURE_CODE) $(SETTINGS)/features | $(ENV)
	$(PY) -m features.families.table --run $(RUN) $(FEATURES_OPTIONS)

CELL_CODE := $(addprefix features/,cells.py cell_table.py)
CELLS := $(addprefix $(RUN)/cells/,index.parquet values.f16)
cells: $(CELLS) ## measure the cells of every image, from which the evidence map is learned
$(CELLS) &: $(DATASET) $(FEATURE_CODE) $(CELL_CODE) | $(ENV)
	$(PY) -m features.cells.table --run $(RUN)

# Their seed is their own, so that they are no images of any other folder of phantoms.
TAUGHT := teachers-$(TEACHERS)
data/$(TAUGHT)/stage_2_train.csv: features/phantom/write.py | $(ENV)
	$(PY) -m features.phantom.write --out data/$(TAUGHT) --train $(TEACHERS) --test 1 --seed 1895 \
	  --positives 0.9 --difficulty 0.4 --drained 0.5
	@touch $@
TAUGHT_CELLS := $(addprefix runs/$(TAUGHT)/cells/,index.parquet values.f16)
$(TAUGHT_CELLS) &: data/$(TAUGHT)/stage_2_train.csv $(DATASET_CODE) $(FEATURE_CODE) $(CELL_CODE) | $(ENV)
	$(PY) -m features.reading.dataset --data data/$(TAUGHT) --run runs/$(TAUGHT) --folds 2
	$(PY) -m features.cells.table --run runs/$(TAUGHT)

EVIDENCE := $(addprefix $(RUN)/evidence/,columns.parquet map.parquet pairs.parquet settings.json \
	$(foreach fold,$(FOLD_NUMBERS),lungs$(fold).txt cells$(fold).txt))
evidence: $(EVIDENCE) ## learn the evidence map: which lung has collapsed, and where the air lies
$(EVIDENCE) &: $(RUN)/features.parquet $(CELLS) $(if $(filter 0,$(TEACHERS)),,$(TAUGHT_CELLS)) \
		$(SETTINGS)/evidence features/families/map_summary.py \
		$(addprefix baseline/,evidence.py judges.py material.py tables.py classifier.py scores.py) | $(ENV)
	$(PY) -m baseline.evidence_map.train --run $(RUN) --seed $(SEED)$(if $(filter 0,$(TEACHERS)),, --phantoms runs/$(TAUGHT))

BASELINE := $(addprefix $(RUN)/baseline/,metrics.json oof.csv test.csv calibration.json settings.json \
	$(FOLD_NUMBERS:%=fold%.txt))
baseline: $(BASELINE) ## train the verdict: out-of-fold probabilities, calibration, AUC
$(BASELINE) &: $(RUN)/features.parquet $(EVIDENCE) $(SETTINGS)/baseline \
		$(addprefix baseline/,train.py predictions.py tables.py classifier.py calibrate.py scores.py) | $(ENV)
	$(PY) -m baseline.classifier.train --run $(RUN) --seed $(SEED) $(BASELINE_OPTIONS)

tune: $(RUN)/features.parquet | $(ENV) ## search for better training settings (TRIALS=40); goes on where it stopped
	$(PY) -m baseline.classifier.tune --run $(RUN) --trials $(TRIALS)

ablation: $(RUN)/ablation.csv ## weigh the feature families: each alone, and all but each
$(RUN)/ablation.csv: $(RUN)/features.parquet $(addprefix baseline/,ablation.py train.py tables.py classifier.py) | $(ENV)
	$(PY) -m baseline.classifier.ablation --run $(RUN)

scrutiny: $(RUN)/baseline/scrutiny.json ## what a reviewer asks: shortcuts, subgroups, operating points, triage
$(RUN)/baseline/scrutiny.json: $(BASELINE) $(addprefix baseline/,scrutiny.py subgroups.py) | $(ENV)
	$(PY) -m baseline.evaluation.shortcuts --run $(RUN) --seed $(SEED)

faithfulness: $(RUN)/baseline/faithfulness.json ## whether the reasons point at the air, matter and hold still
$(RUN)/baseline/faithfulness.json: $(BASELINE) $(addprefix baseline/,faithfulness.py attributions.py tree_shap.py) | $(ENV)
	$(PY) -m baseline.evaluation.faithfulness --run $(RUN) --seed $(SEED)

GATE := $(addprefix $(RUN)/,gate.json metrics.json cnn/outlines.csv cnn/economics.json)
report: $(RUN)/report/index.html ## write the SHAP report, one offline HTML file
# These take a minute or two, so the report shows them only where they were asked for.
JUDGED := $(patsubst %,$(RUN)/baseline/%.json,$(filter scrutiny faithfulness,$(MAKECMDGOALS)))
JUDGED += $(wildcard $(RUN)/baseline/scrutiny.json $(RUN)/baseline/faithfulness.json)
# The U-Net's outlines are shown if they are there; no report by itself waits for a U-Net to be trained.
JUDGED += $(if $(filter submission gate,$(MAKECMDGOALS)),$(GATE))
JUDGED += $(shell [ $(RUN)/cnn/outlines.csv -nt $(RUN)/report/index.html ] && echo FORCE)
$(RUN)/report/index.html: $(BASELINE) $(SETTINGS)/report $(JUDGED) $(wildcard baseline/report/templates/*) \
		$(addprefix baseline/,attributions.py tree_shap.py reasons.py painting.py cases.py gallery.py inputs.py plots.py \
		heat.py spots.py findings.py subgroups.py economics.py curves.py card.py page.py report.py) | $(ENV)
	$(PY) -m baseline.report.write --run $(RUN) --cases $(CASES)

CNN := $(RUN)/cnn/maps/index.csv
cnn: $(CNN) ## train the U-Net, fold by fold, and draw probability maps
# A fold whose weights were deleted is trained again.
LOST_WEIGHTS := $(if $(wildcard $(RUN)/cnn/settings.json),$(if $(filter-out \
	$(words $(FOLD_NUMBERS)),$(words $(wildcard $(FOLD_NUMBERS:%=$(RUN)/cnn/fold%/weights.safetensors)))),FORCE))
# Weights of other data or settings are trained anew; those of a killed run are gone on with. Folds
# that are finished keep their weights, so only the settings, written last, can be newer than the data.
$(RUN)/cnn/settings.json: $(DATASET) $(EVIDENCE) $(SETTINGS)/cnn $(LOST_WEIGHTS) \
		$(if $(filter lite,$(PROFILE)),cnn/weights/pretrained.safetensors) | $(ENV)
	$(PY) -m cnn.training.train --run $(RUN) --profile $(PROFILE) --seed $(SEED) --overwrite $(CNN_OPTIONS)
$(CNN): $(RUN)/cnn/settings.json | $(ENV)
	$(PY) -m cnn.prediction.predict --run $(RUN)

# The network that ships as a start for others: it sees phantoms alone, other ones than any that are
# drawn elsewhere, and is kept with the code.
START_DATA := data/start
start: | $(ENV) ## make the network anew that lite begins from, which learns from phantoms (15 minutes)
	$(PY) -m features.phantom.write --out $(START_DATA) --train 2400 --test 1 --seed 2019 --difficulty 0.4 --drained 0.5
	$(PY) -m features.reading.dataset --data $(START_DATA) --run runs/start --folds 10
	$(PY) -m cnn.training.train --run runs/start --only 0 --init none --no-evidence --first-epochs 0 --epochs 48 --rate 1.5e-3 \
	  --overwrite
	$(PY) -m cnn.weights.pretrained --run runs/start

gate: $(GATE) ## choose the gate's rule out of fold and score every policy
	@$(PY) -m cnn.submission.write summary --run $(RUN)
$(GATE) &: $(BASELINE) $(CNN) $(SETTINGS)/gate $(wildcard $(ALSO:%=%/cnn/maps/index.csv)) \
		$(addprefix baseline/,gate.py gate_choice.py heat.py topzone.py attributions.py tree_shap.py inputs.py) \
		$(addprefix cnn/,evaluate.py economics.py outlines.py sources.py maps.py masks.py) | $(ENV)
	$(PY) -m cnn.gate.evaluate --run $(RUN)$(if $(ALSO), --also $(ALSO))

submission: $(RUN)/submission.csv report ## all of it: submission.csv, checked, and the report
	@$(PY) -m cnn.submission.write summary --run $(RUN)
$(RUN)/submission.csv: $(GATE) $(DATASET) $(addprefix cnn/,submit.py doctor.py) | $(ENV)
	$(PY) -m cnn.submission.write write --run $(RUN)

demo: ## the whole pipeline on phantoms: scoreboard, report and submission in minutes
	@$(MAKE) --no-print-directory submission DATA=$(PHANTOMS) RUN=runs/$(notdir $(PHANTOMS)) PROFILE=demo FOLDS=3

# --- the project itself ----------------------------------------------------------------------
# One process a core with one thread each: more would wait for one another.
test: $(ENV) ## run every test
	OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --dist loadscope

check: $(ENV) ## lint, format, types and layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

format: $(ENV) ## format the code
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --fork-strategy fewest --group dev --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command 'make lock' --python-version 3.11 \
	  pyproject.toml -o requirements.lock

clean: ## remove the environment and caches; runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
