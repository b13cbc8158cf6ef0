# The image of docker-compose.yaml: Airflow with what the feature store needs.
# The slim image has Airflow alone; everything else comes from the lock, which the tests run with.
ARG BASE=apache/airflow:slim-3.3.2-python3.11
FROM ${BASE}

# They change seldom, so that this layer is seldom built.
COPY --chown=airflow:root requirements-image.lock /tmp/requirements-image.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-image.lock

COPY --chown=airflow:root include include
COPY --chown=airflow:root config config
COPY --chown=airflow:root bin bin
COPY --chown=airflow:root plugins plugins
COPY --chown=airflow:root dags dags

# A volume that is new takes over the owner of the folder that it is mounted on.
# Airflow would write its configuration where there is none, which a container may not.
RUN python -m compileall -q plugins dags && mkdir -p logs feature_store_reports && touch airflow.cfg
ENV MPLCONFIGDIR=/tmp/matplotlib

USER airflow
