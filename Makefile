# The pipeline as a graph of files. Each stage writes its files whole or not at all, so a second run does
# nothing and a killed run goes on where it stopped. A stage is made again when what it reads, the code of its
# rooms or its settings have changed; training goes by what it reads and its settings alone.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# --- settings: what is not given is as RUN/settings.mk remembers it, or else the default ---------------------
GIVEN := DATA RUN SEED FOLDS PROFILE PATIENTS AUXILIARY ALSO CASES TRAIN TEST TRIALS SELFTEST LIMIT IMAGE PORT OUT COUNT SCHEDULER MEASURE_OPTIONS CLASSIFIER_OPTIONS CNN_OPTIONS
open := (
close := )
ODD := ' " ` ; & | < > * ? ! \ \# $$ $(open) $(close)
$(foreach name,$(GIVEN),$(foreach sign,$(ODD),$(if $(findstring $(sign),$(value $(name))),\
  $(error $(name): the character $(sign) cannot be passed on to a shell; rename or link the folder, or leave it out))))
# A shell would look for other folders by these; make itself stumbles over two more in RUN.
$(foreach name,DATA RUN,$(foreach sign,[ ] { } $(if $(filter RUN,$(name)),: %),$(if $(findstring $(sign),$(value $(name))),\
  $(error $(name): the character $(sign) cannot be used in the name of a folder with make; rename or link the folder))))
ifneq ($(words x$(DATA)x$(RUN)x),1)
$(error DATA and RUN: a space in the name of a folder cannot be used with make; rename or link the folder)
endif
RUN_GIVEN := $(RUN)
# Phantoms are drawn where no DATA is given; the name of their folder says which.
override RUN := $(patsubst %/,%,$(or $(RUN),runs/$(notdir $(patsubst %/,%,$(or $(DATA),phantoms-$(or $(TRAIN),180)-$(or $(TEST),60)-$(or $(SEED),0))))))
# Lines "stage.NAME := value", and nothing that make or a shell would carry out: run folders are handed on.
LINE := ^[a-z]+\.[A-Z_]+ := [^]['"`;&|<>*?!()$$\#\\]*$$
REMEMBERED := $(wildcard $(RUN)/settings.mk)
ifneq ($(REMEMBERED),)
ifneq ($(shell LC_ALL=C grep -cvE "$$(printf '%s' '$(subst ','\'',$(LINE))')" $(REMEMBERED)),0)
$(error $(REMEMBERED): a line is not as make writes it; delete the file, and give the settings again)
endif
include $(REMEMBERED)
endif
DATA ?= $(patsubst $(CURDIR)/%,%,$(dataset.DATA))
drawn := $(subst -, ,$(patsubst data/phantoms-%,%,$(filter data/phantoms-%,$(DATA))))
TRAIN ?= $(or $(word 1,$(drawn)),180)
TEST ?= $(or $(word 2,$(drawn)),60)
SEED ?= $(or $(dataset.SEED),$(word 3,$(drawn)),0)
PHANTOMS := data/phantoms-$(TRAIN)-$(TEST)-$(SEED)
override DATA := $(patsubst %/,%,$(or $(DATA),$(PHANTOMS)))
ON_PHANTOMS := $(filter $(DATA),$(PHANTOMS))
FOLDS ?= $(or $(dataset.FOLDS),$(if $(ON_PHANTOMS),3,5))
PATIENTS ?= $(dataset.PATIENTS)
PROFILE ?= $(or $(training.PROFILE),$(if $(ON_PHANTOMS),demo,lite))
AUXILIARY ?= $(or $(evidence.AUXILIARY),$(if $(ON_PHANTOMS)$(wildcard $(DATA)/parameters.json),0,300))
ALSO ?= $(gate.ALSO)
CASES ?= $(or $(report.CASES),12)
TRIALS ?= 40
MEASURE_OPTIONS ?= $(measure.MEASURE_OPTIONS)
CLASSIFIER_OPTIONS ?= $(classifier.CLASSIFIER_OPTIONS)
CNN_OPTIONS ?= $(training.CNN_OPTIONS)
PYTHON ?= python3
# Where the stages that go through all images, or train a model a fold, are spread over a Dask cluster.
SPREAD := $(if $(SCHEDULER), --scheduler $(SCHEDULER))
override ALSO := $(patsubst %/,%,$(ALSO))
$(if $(filter-out $(dataset.DATA),$(if $(dataset.DATA),$(abspath $(DATA)))),\
  $(error RUN=$(RUN) was made from $(dataset.DATA); give another RUN for DATA=$(DATA), or delete the folder))
$(if $(filter demo lite full,$(PROFILE)),,$(error PROFILE=$(PROFILE): no such profile; give demo, lite or full))
$(if $(filter 1 2 3 4 5 6 7 8 9,$(AUXILIARY)),$(error AUXILIARY=$(AUXILIARY): so few phantoms do not help; give 0, or 10 and more))
$(foreach list,$(PATIENTS),$(if $(wildcard $(list)),,$(error PATIENTS=$(list): no such file)))

# Each stage: the files that it writes into the run folder, the last one first, and the settings that it uses.
# FILES are the files of the dataset by name, size and date; phantoms are drawn whole.
stat := $(if $(filter Darwin,$(shell uname)),-f '%N %z %Fm',-c '%n %s %y')
FILES = $(if $(ON_PHANTOMS),whole,$(shell find -L $(DATA) -type f -exec stat -L $(stat) {} + 2>/dev/null | LC_ALL=C sort | cksum | tr ' ' -))
NUMBERS := $(shell seq 0 $$(($(FOLDS) - 1)))
dataset.files := dataset.parquet quarantine.csv sample.csv
dataset.uses := DATA FOLDS SEED PATIENTS FILES
measure.files := features.parquet quality.parquet cells/index.parquet cells/values.f16
measure.uses := MEASURE_OPTIONS
evidence.files := $(addprefix evidence/,zones.parquet map.parquet pairs.parquet metrics.json settings.json digests.json $(NUMBERS:%=lungs%.txt) $(NUMBERS:%=cells%.txt))
evidence.uses := SEED AUXILIARY
classifier.files := $(addprefix baseline/,metrics.json oof.csv test.csv calibration.json settings.json digests.json $(NUMBERS:%=fold%.txt))
classifier.uses := SEED CLASSIFIER_OPTIONS
shap.files := baseline/shap.parquet baseline/shap_by_place.parquet
report.files := report/index.html
report.uses := CASES
training.files := cnn/settings.json $(NUMBERS:%=cnn/fold%/weights.safetensors)
training.uses := PROFILE SEED CNN_OPTIONS
maps.files := cnn/maps/index.csv
gate.files := gate.json metrics.json cnn/outlines.csv cnn/gate_figures.json
gate.uses := ALSO
submission.files := submission.csv

# $(call made,stages): the files that say that stages are made.
made = $(foreach stage,$(1),$(RUN)/$(firstword $($(stage).files)))
setting = $(strip $(if $(filter DATA,$(1)),$(abspath $(DATA)),$($(1))))
# $(call stale,stage): FORCE if a setting is not the one it was made with, or one of its files is gone.
stale = $(if $(strip $(filter-out $(wildcard $($(1).files:%=$(RUN)/%)),$($(1).files:%=$(RUN)/%)) \
  $(foreach name,$($(1).uses),$(subst x$(call setting,$(name))x,,x$($(1).$(name))x))),FORCE)
# $(call remember,stage): notes the settings once the stage is made; the last line of a name counts.
remember = @new='$(RUN)/.settings.mk'; { touch $(RUN)/settings.mk && cat $(RUN)/settings.mk && printf '%s\n' \
  $(foreach name,$($(1).uses),'$(1).$(name) := $(call setting,$(name))'); } 2>/dev/null > $$new && mv -f $$new $(RUN)/settings.mk || \
  { rm -f $$new; echo 'error: $(RUN)/settings.mk: could not be written; free some space, then run the same command again.' >&2; exit 1; }
code = $(foreach room,$(1),$(wildcard $(room) $(room)/*.py $(room)/*.npz $(room)/templates/*))
PY := .venv/bin/python
# The process that holds the run folder while its stages write, and the folder; see features/run/lock.py.
export PNEUMOTHORAX_MAKE := $(shell echo $$PPID) $(abspath $(RUN))
# The scores; not a plan of work, so make -n does without.
SUMMARY = $(if $(findstring n,$(firstword -$(MAKEFLAGS))),,@$(PY) -m cnn.gate.summary --run $(RUN))
ENV := .venv/.installed

# --- the pipeline ----------------------------------------------------------------------------------------------
.PHONY: FORCE help env demo dataset audit implants measure evidence classifier shap tune ablation shortcuts faithfulness report cnn gate \
	submission predict serve pretrained shipped test check format lock clean

help: ## show this help
	@echo "usage: make <target> [DATA=<dataset folder>] [RUN=<run folder>] [SEED=0] [PROFILE=demo|lite|full]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Without DATA, phantoms are drawn (TRAIN=180 TEST=60): no download, and the truth is known."
	@echo "RUN is runs/<name of the dataset> unless given. It remembers its settings (settings.mk in it)."
	@echo "PATIENTS=<csv> ...   further lists of which images are of one patient (ImageId,patient or Kaggle_ID,NIH_ID)"
	@echo "AUXILIARY=300        phantoms that help to train the evidence map; 0 for none"
	@echo "ALSO=<run> ...       average the U-Net maps of these runs with those of RUN"
	@echo "SCHEDULER=tcp://...   spread dataset, measure, evidence, classifier, cnn, gate, submission over Dask"
	@echo "FOLDS, CASES (in the report), TRIALS (of tune), LIMIT (images of the audit; 0 for all)"
	@echo "MEASURE_OPTIONS, CLASSIFIER_OPTIONS, CNN_OPTIONS='--epochs 4': options of features.measure,"
	@echo "baseline.classifier.train and cnn.training.train; $(PY) -m <module> --help explains them"

DATA_FILES := $(if $(ON_PHANTOMS),$(PHANTOMS)/stage_2_train.csv)
data/%/stage_2_train.csv: $(call code,features/phantom) | $(ENV)
	$(PY) -m features.phantom.write --out $(@D) $(or $($*.phantoms),--train $(TRAIN) --test $(TEST) --seed $(SEED))
	@touch -c $@ # a folder that is there already is left as it is

# What leads to measures reads and measures in one go, so that each file is decoded once; `make dataset` and `make
# audit` read alone. MEASURED says so to the rule for measures, which then has nothing left to do.
ONE_PASS :=
MEASURED :=
$(call made,measure): ONE_PASS := yes
dataset: $(call made,dataset) ## read the dataset: labels, patients, folds; unreadable images set aside
$(call made,dataset): $(DATA_FILES) $(PATIENTS) $(call code,features/dataset features/reading features/storage) $(call stale,dataset) | $(ENV)
	$(if $(ONE_PASS),$(eval MEASURED := yes))$(PY) -m $(if $(ONE_PASS),features.one_pass,features.dataset.read) --data $(DATA) --run $(RUN) --folds $(FOLDS) --seed $(SEED)$(if $(PATIENTS), --patients $(PATIENTS))$(SPREAD)$(if $(ONE_PASS), $(MEASURE_WITH))
	$(call remember,dataset)
	$(if $(ONE_PASS),$(call remember,measure))

# A check that fails is the audit's result, and the files are written before it says so.
audit: $(call made,dataset) | $(ENV) ## look at the dataset before training: one offline page (SELFTEST=1 tests the audit)
	$(PY) -m baseline.audit.write --run $(RUN) --data $(DATA) --seed $(SEED)$(if $(SELFTEST), --selftest)$(if $(LIMIT), --limit $(LIMIT))

# The folder that is written is a dataset of its own, so no run and no stage depends on it.
implants: $(DATA_FILES) | $(ENV) ## put pneumothorax into the X-rays of DATA without one: OUT=<folder> (COUNT=0 for one in each)
	$(if $(OUT),,$(error OUT: no folder given; name one, as in make implants DATA=x OUT=data/implants))
	$(PY) -m features.implant.write --data $(DATA) --out $(OUT) --count $(or $(COUNT),0) --seed $(SEED)$(if $(PATIENTS), --patients $(PATIENTS))

MEASURE_WITH = $(strip $(if $(filter full,$(PROFILE)),--squares 512) $(MEASURE_OPTIONS))
MEASURING := $(call code,$(addprefix features/,reading storage pixels lungs families cells quality squares measuring measure.py one_pass.py trees.py))
measure: $(call made,measure) ## measure features and cells of every image
$(call made,measure): $(call made,dataset) $(MEASURING) $(call stale,measure) | $(ENV)
	$(if $(MEASURED),,$(PY) -m features.measure --run $(RUN)$(SPREAD) $(MEASURE_WITH))
	$(if $(MEASURED),,$(call remember,measure))

# Auxiliary phantoms have a seed of their own, so they are no images of any other folder of phantoms.
AUX := auxiliary-$(AUXILIARY)
$(AUX).phantoms := --train $(AUXILIARY) --test 1 --seed 1895 --positives 0.9 --difficulty 0.4 --drained 0.5
AUX_CELLS := $(if $(filter-out 0,$(AUXILIARY)),runs/$(AUX)/cells/index.parquet)
runs/$(AUX)/cells/index.parquet: data/$(AUX)/stage_2_train.csv $(MEASURING) | $(ENV)
	$(PY) -m features.one_pass --data data/$(AUX) --run runs/$(AUX) --folds 2 --only-cells$(SPREAD)

evidence: $(call made,evidence) ## learn the evidence map: which lung has collapsed, and where the air lies
$(call made,evidence): $(call made,measure) $(AUX_CELLS) $(call code,baseline/evidence_map baseline/learning) $(call stale,evidence) | $(ENV)
	$(PY) -m baseline.evidence_map.train --run $(RUN) --seed $(SEED)$(if $(AUX_CELLS), --auxiliary runs/$(AUX))$(SPREAD)
	$(call remember,evidence)

classifier: $(call made,classifier) ## train the classifier: out-of-fold probabilities, calibration, AUC
$(call made,classifier): $(call made,measure evidence) $(filter-out %/tune.py %/ablation.py,$(call code,baseline/classifier baseline/learning)) $(call stale,classifier) | $(ENV)
	$(PY) -m baseline.classifier.train --run $(RUN) --seed $(SEED)$(SPREAD) $(CLASSIFIER_OPTIONS)
	$(call remember,classifier)

shap: $(call made,shap) ## compute the SHAP values of every image
$(call made,shap): $(call made,classifier) $(call code,baseline/explanation) $(call stale,shap) | $(ENV)
	$(PY) -m baseline.explanation.shap_values --run $(RUN)

tune: $(call made,measure) | $(ENV) ## search for better training settings (TRIALS=40); goes on where it stopped
	$(PY) -m baseline.classifier.tune --run $(RUN) --trials $(TRIALS)

ablation: $(RUN)/ablation.csv ## weigh the feature families: each alone, and all but each
$(RUN)/ablation.csv: $(call made,measure) $(call code,baseline/classifier baseline/learning) | $(ENV)
	$(PY) -m baseline.classifier.ablation --run $(RUN)

CHECKS := shortcuts faithfulness
shortcuts: $(RUN)/baseline/shortcuts.json ## check for shortcuts; subgroups, operating points, triage
faithfulness: $(RUN)/baseline/faithfulness.json ## check whether the reasons point at the air, move the score, agree between models
$(CHECKS:%=$(RUN)/baseline/%.json): $(RUN)/baseline/%.json: $(call made,shap) $(call code,baseline/evaluation) | $(ENV)
	$(PY) -m baseline.evaluation.$* --run $(RUN) --seed $(SEED)

# The report shows a check once it was asked for, and the masks once they are there: it waits for neither.
SHOWN := $(wildcard $(CHECKS:%=$(RUN)/baseline/%.json)) $(patsubst %,$(RUN)/baseline/%.json,$(filter $(CHECKS),$(MAKECMDGOALS)))
SHOWN += $(if $(filter submission gate,$(MAKECMDGOALS)),$(call made,gate),$(shell [ $(call made,gate) -nt $(call made,report) ] && echo FORCE))
report: $(call made,report) ## write the SHAP report, one offline HTML file
$(call made,report): $(call made,shap) $(SHOWN) $(call code,baseline/report) $(call stale,report) | $(ENV)
	$(PY) -m baseline.report.write --run $(RUN) --cases $(CASES)
	$(call remember,report)

cnn: $(call made,maps) ## train the U-Net, fold by fold, and draw probability maps
$(call made,training): $(call made,evidence) $(if $(filter lite,$(PROFILE)),cnn/weights/pretrained.safetensors) $(call stale,training) | $(ENV)
	$(PY) -m cnn.training.train --run $(RUN) --profile $(PROFILE) --seed $(SEED) --overwrite$(SPREAD) $(CNN_OPTIONS)
	$(call remember,training)
$(call made,maps): $(call made,evidence training) $(call code,cnn/network cnn/data cnn/prediction) | $(ENV)
	$(PY) -m cnn.prediction.predict --run $(RUN)$(SPREAD)

gate: $(call made,gate) ## choose the gate's rule out of fold and score every policy
	$(SUMMARY)
$(call made,gate): $(call made,shap maps) $(ALSO:%=%/cnn/maps/index.csv) $(call code,baseline/gate cnn/gate) $(call stale,gate) | $(ENV)
	$(PY) -m cnn.gate.evaluate --run $(RUN)$(if $(ALSO), --also $(ALSO))$(SPREAD)
	$(call remember,gate)

submission: $(call made,submission report) ## all of it: submission.csv, checked, and the report
	$(SUMMARY)
$(call made,submission): $(call made,gate) $(call code,cnn/submission) | $(ENV)
	$(PY) -m cnn.submission.write --run $(RUN)$(SPREAD)

demo: ## the whole pipeline on phantoms: scores, report and submission in minutes
	@$(MAKE) --no-print-directory submission DATA=$(PHANTOMS) RUN=runs/$(notdir $(PHANTOMS)) PROFILE=demo FOLDS=3

# A trained run answers as it is, whatever has changed since: nothing is made again.
predict: | $(ENV) ## answer on single X-rays: IMAGE=<file, folder or zip>, by RUN or by the model that ships
	$(if $(IMAGE),,$(error IMAGE: no image given; name a file, a folder or a zip, as in make predict IMAGE=x.dcm))
	@$(PY) -m cnn.study.cli predict $(IMAGE)$(if $(RUN_GIVEN), --run $(RUN))

# The page answers on this machine alone; `pneumothorax serve --help` says how others may reach it.
serve: | $(ENV) ## answer in a browser, at http://127.0.0.1:8000/ (PORT=8000), by RUN or by the model that ships
	@$(PY) -m cnn.web.cli serve$(if $(RUN_GIVEN), --run $(RUN))$(if $(PORT), --port $(PORT))

# What ships has learned from phantoms alone, which are drawn nowhere else: the network that lite begins from,
# and the model that answers where no RUN is given.
pretrained: shipped | $(ENV) ## make anew what ships: the network that lite begins from, the model of predict (25 minutes)
	$(PY) -m features.phantom.write --out data/pretrained --train 2400 --test 1 --seed 2019 --difficulty 0.4 --drained 0.5
	$(PY) -m features.dataset.read --data data/pretrained --run runs/pretrained --folds 10
	$(PY) -m cnn.training.train --run runs/pretrained --only 0 --init none --no-evidence --first-epochs 0 --epochs 48 --rate 1.5e-3 --overwrite
	$(PY) -m cnn.weights.pretrained --run runs/pretrained
shipped: | $(ENV)
	$(PY) -m features.phantom.write --out data/shipped --train 600 --test 1 --seed 6 --difficulty 0.4 --drained 0.5
	$(PY) -m features.one_pass --data data/shipped --run runs/shipped --folds 3
	$(PY) -m baseline.evidence_map.train --run runs/shipped --healthy-weight 0
	$(PY) -m baseline.classifier.train --run runs/shipped --no-texture
	$(PY) -m baseline.explanation.shap_values --run runs/shipped
	$(PY) -m cnn.study.ship --run runs/shipped

# --- the environment and the project itself ----------------------------------------------------------------------
env: $(ENV) $(if $(CUDA),.venv/.cuda) ## make the environment .venv from requirements.lock (CUDA=1: with GPU support)
$(ENV): requirements.lock pyproject.toml
	@.ci/environment $(PYTHON)
	@touch $@
.venv/.cuda: $(ENV)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade >/dev/null
	@$(PY) -m pip install --quiet --disable-pip-version-check "jax[cuda12]==$$($(PY) -c 'import jax; print(jax.__version__)')"
	@touch $@

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
	uv pip compile --quiet --universal --fork-strategy fewest --group dev --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command 'make lock' --python-version 3.11 pyproject.toml -o requirements.lock
clean: ## remove the environment and caches; runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
